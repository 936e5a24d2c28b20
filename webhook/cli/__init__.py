"""What people type, with a person's rights: a folder for each command. Nothing outside `cli` imports it.

`app` lists the commands; `command` in a command's folder has its options and columns. `serve` and `config`
(`config check`) are small enough for a file. `snapshots` is no command, but what most commands read. The other
files are shared by several: errors become one clear message and an exit code in `exits`.
"""

from webhook.cli.exits import ended_by_ctrl_c, read_to_the_end


def main() -> None:
    """Run the command line; Ctrl-C ends it with one line, also while its modules load."""
    with ended_by_ctrl_c(), read_to_the_end():
        from webhook.cli.app import main as run

        run()


__all__ = ["main"]
