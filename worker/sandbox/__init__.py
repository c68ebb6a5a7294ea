"""Everything one needs to try the rotator on a bare machine: HostUp and S3 simulated, Vault and Valkey real.

None of this is imported by the service. :mod:`worker.sandbox.run` starts it all, :mod:`worker.sandbox.simulator.server`
is the simulated HostUp, :mod:`worker.selftest.proxy` spoils the talk between a worker and any of its services.
"""
