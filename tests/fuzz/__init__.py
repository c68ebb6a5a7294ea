"""Inputs by the million: honest ones, maltreated; see docs/testing.md, "Fuzzing".

``python -m tests.fuzz --help`` is the way in; :mod:`.parts` are what is fuzzed, :mod:`.limits` is what must hold of
every input, :mod:`.corpus` keeps those that once failed.
"""
