"""The process: a Celery worker, put together from the settings."""
