"""The outside world, behind the ports of :mod:`worker.rotation.ports`."""
