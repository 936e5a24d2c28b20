"""Credential plugins of a kubeconfig (its `exec`, as EKS writes it): one that fails is an error."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from webhook.controller.ports import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def failures_raised() -> Iterator[None]:
    """Raise ClusterError, with the plugin's own words, where a plugin fails to give credentials or to renew them.

    The official client only logs it, by the root logger, and goes on as nobody, or with what has expired. To be
    entered by one thread at a time.
    """
    heard: list[str] = []

    def hear(record: logging.LogRecord) -> bool:
        heard.append(_words(record))
        return False

    root = logging.getLogger()
    root.addFilter(hear)
    try:
        yield
    finally:
        root.removeFilter(hear)
    if heard:
        raise ClusterError(f"the kubeconfig's exec plugin gives no credentials: {'; '.join(heard)}")


def _words(record: logging.LogRecord) -> str:
    # On a terminal the plugin has printed its reason itself, and the client stumbles over having none.
    stumbled = isinstance(sys.exc_info()[1], AttributeError)
    return "it says above why" if stumbled else record.getMessage().removeprefix("exec: ")
