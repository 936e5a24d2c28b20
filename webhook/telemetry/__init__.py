"""Metrics and logs: what operators see of the program. Never a token, never a whole object."""
