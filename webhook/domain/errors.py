"""What the rules refuse."""

from __future__ import annotations


class InvalidNameError(ValueError):
    """A string is not the name it is used as; the message says which rule it breaks and shows a right one."""


class InvalidPolicyError(ValueError):
    """A trust policy document has a shape that IAM does not store; it is left alone."""
