"""What people type, with a person's rights: one folder a command. Nothing outside `cli` imports it.

Errors become one clear message and an exit code.
"""

from webhook.cli.exits import ended_by_ctrl_c


def main() -> None:
    """Run the command line; Ctrl-C ends it with one line, also while its modules load."""
    with ended_by_ctrl_c():
        from webhook.cli.app import main as run

        run()


__all__ = ["main"]
