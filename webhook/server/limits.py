"""What one port gives to clients at most."""

from __future__ import annotations

from dataclasses import dataclass

_KIBIBYTE = 1024

_LARGEST_REVIEW = 40 * _KIBIBYTE * _KIBIBYTE
"""Two objects of the 3 MiB that an API server takes, each byte of which it may write as six.

What is larger than can be read still has to be refused as a review: an HTTP error would pass under failurePolicy
Ignore.
"""


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


REVIEW_LIMITS = Limits(connections=1024, body=_LARGEST_REVIEW)
"""An API server opens a connection for each review under way, and keeps 25 idle ones."""

PLAIN_LIMITS = Limits(connections=128, body=4 * _KIBIBYTE)
"""Kubelets and Prometheus need a few."""
