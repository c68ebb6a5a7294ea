"""Reading and checking the configuration, file and environment; :mod:`worker.settings.settings` is what comes of it."""
