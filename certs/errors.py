"""What goes wrong with certificates."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why something in the bundle is recreated; a label of a metric, so the values are a contract."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    KEY_MISMATCH = "key_mismatch"
    WRONG_NAMES = "wrong_names"
    EXPIRING = "expiring"
    CA_EXPIRING = "ca_expiring"
    CA_REPLACED = "ca_replaced"
    CA_UNUSABLE = "ca_unusable"
    NOT_ACCEPTED = "not_accepted"


class Difference(StrEnum):
    """How the caBundle differed before it was repaired; a label of a metric, so the values are a contract."""

    EMPTY = "empty"
    OVERWRITTEN = "overwritten"
    ROTATION = "rotation"


class BundleError(Exception):
    """What the store holds cannot be used; `reason` is the label by which it is counted."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PairError(Exception):
    """A certificate and a key that cannot be served; what is served stays."""


class StoreError(Exception):
    """The store did not answer, or refused; the message names the call and the reason."""
