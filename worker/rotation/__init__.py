"""A rotation: start at :mod:`worker.rotation.reconcile`."""
