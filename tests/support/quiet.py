"""What every test of a loop needs: no log lines, and no error that a loop survived unnoticed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import structlog

from webhook.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPS = (
    "trust_writer",
    "reflector",
    "pass",
    "associations",
    "grants",
    "leader",
    "pruner",
    "unused",
    "binding_conflicts",
    "rollout_retry",
    "pods",
    "pod_gate",
    "restarts",
)


@pytest.fixture(autouse=True)
def _nothing_unexpected() -> Iterator[None]:
    """Loops run on after unexpected errors, and count them; in a test each is a failure."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    before = unexpected_errors()
    yield
    structlog.reset_defaults()
    assert unexpected_errors() == before


def unexpected_errors() -> float:
    """How many there were so far."""
    (counts,) = metrics.unexpected_errors.collect()
    return sum(
        sample.value
        for sample in counts.samples
        if sample.name.endswith("_total") and sample.labels["loop"] in LOOPS
    )
