"""Traces and metrics by OTLP, and reports of errors: each off unless its variables are set, and loaded only then."""
