"""Values of metrics in this process, for tests that ask often."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.telemetry.metrics import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client.samples import Sample


def sample(name: str, labels: Mapping[str, str] | None = None) -> float | None:
    """The value of a sample with exactly these labels; None where there is none.

    It collects that metric alone: the registry has a series of each role that the process has met, and a test in
    virtual time asks thousands of times.
    """
    return next((one.value for one in samples(name) if one.labels == (labels or {})), None)


def samples(name: str) -> list[Sample]:
    """All samples of a name."""
    families = REGISTRY.restricted_registry([name]).collect()
    return [one for family in families for one in family.samples if one.name == name]
