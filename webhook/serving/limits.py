"""What one port gives to clients at most."""

from __future__ import annotations

from dataclasses import dataclass

from webhook.admission.bodies import LARGEST_BODY

_KIBIBYTE = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes, times are seconds. A request that was begun is over after `head_time` + `body_time`."""

    connections: int
    """Open at once, those in the TLS handshake among them."""
    body: int
    """Of one request."""
    head: int = 32 * _KIBIBYTE
    """All of a request but its body: request line, headers, framing of chunks, trailers."""
    url: int = 8 * _KIBIBYTE
    handshake_time: float = 5.0
    head_time: float = 5.0
    body_time: float = 9.0
    unread_time: float = 5.0
    """For which a client may leave a part of an answer unread."""
    idle_time: float = 120.0
    """For which an idle connection stays open: longer than the API server's 90 s, or reviews fail at random."""


REVIEW_LIMITS = Limits(connections=1024, body=LARGEST_BODY)
"""An API server opens a connection for each review under way, and keeps 25 idle ones."""

PLAIN_LIMITS = Limits(connections=128, body=4 * _KIBIBYTE)
"""Kubelets and Prometheus need a few."""
