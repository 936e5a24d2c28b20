"""What people type. Each command is a file; errors become one clear message and an exit code."""

from webhook.cli.app import main

__all__ = ["main"]
