"""What a target is: its names in the app's secret, its schedule, its backoff."""
