"""What the worker says: JSON lines or a console (:mod:`worker.logs.setup`), with nothing secret in them."""
