"""Log lines under a flood."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from webhook.telemetry import refusals
from webhook.telemetry.refusals import LogLimit


def test_one_line_of_a_kind_is_due_in_a_while_and_says_how_many_were_dropped() -> None:
    now = 0.0
    seldom = LogLimit(10, lambda: now)
    assert [seldom.take("a") for _ in range(4)] == [0, None, None, None]
    assert seldom.take("b") == 0
    now = 9.9
    assert seldom.take("a") is None
    now = 10.0
    assert [seldom.take("a") for _ in range(2)] == [4, None]
    now = 20.0
    assert seldom.take("b") == 0


def test_a_flood_of_refused_requests_is_one_line() -> None:
    structlog.reset_defaults()
    with capture_logs() as lines:
        for _ in range(1000):
            refusals.note_refusal(418, "a teapot")
            refusals.note_closing("flood")
    assert [line["event"] for line in lines] == ["request_refused", "connection_closed"]
