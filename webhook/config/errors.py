"""What is wrong with a configuration."""

from __future__ import annotations


class ConfigurationError(Exception):
    """The program cannot start with this configuration; the message names each key and its fix, one a line."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems
