"""What a flood of scrapes may cost."""

from __future__ import annotations

from webhook.server.health import Exposition
from webhook.telemetry import metrics


class _Clock:
    """Each look takes a tenth of a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


def test_writing_the_metrics_takes_a_tenth_of_the_time_at_most() -> None:
    clock = _Clock()
    exposition = Exposition(clock)
    written = {}
    for _ in range(100):
        metrics.reviews_refused.labels("400").inc()
        written[exposition.text()] = clock.now
    assert len(written) <= 100 / 10 + 1


def test_a_scrape_a_moment_later_is_a_new_one() -> None:
    clock = _Clock()
    exposition = Exposition(clock)
    before = exposition.text()
    metrics.reviews_refused.labels("400").inc()
    clock.now += 1
    assert exposition.text() != before
