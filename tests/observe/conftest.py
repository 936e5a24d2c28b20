"""A program that only observes: no loop of it meets an unexpected error."""

from tests.support.quiet import _nothing_unexpected

__all__ = ["_nothing_unexpected"]
