"""Notices in the service: from log lines to those who are told, in threads of their own, in nobody's way."""
