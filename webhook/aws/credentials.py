"""The program's own credentials: found and renewed by the SDK, one attempt at a time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from botocore.credentials import ContainerProvider, RefreshableCredentials
from botocore.exceptions import NoCredentialsError
from botocore.utils import ContainerMetadataFetcher

if TYPE_CHECKING:
    import botocore.session
    from botocore.credentials import Credentials

_MUST_RENEW = 600
"""Seconds before the end of credentials within which botocore has every caller wait for new ones."""


class CredentialsError(Exception):
    """There are no credentials; the cause says why."""


class OwnCredentials:
    """Has credentials ready before a request needs them.

    While their source hangs, thousands of callers wait for one attempt and share its failure: each with an attempt
    of its own, the last would wait for all others. A source that works again is asked by the next call.
    """

    def __init__(self, session: botocore.session.Session) -> None:
        self._session = session
        self._found: Credentials | None = None
        self._lock = threading.Lock()
        self._failed_at = 0.0
        self._failure: Exception | None = None
        # The SDK's own fetcher tries three times with pauses; here whoever asks decides about another try.
        fetcher = ContainerMetadataFetcher(sleep=lambda _: None)
        fetcher.RETRY_ATTEMPTS = 1
        provider = ContainerProvider(fetcher=fetcher)  # type: ignore[arg-type]  # the stubs name another fetcher
        resolver = session.get_component("credential_provider")
        if ContainerProvider.METHOD in (one.METHOD for one in resolver.providers):
            resolver.insert_before(ContainerProvider.METHOD, provider)

    def make_ready(self) -> None:
        """Return once there are credentials to sign with. Raises CredentialsError."""
        asked = time.monotonic()
        if _are_good(self._found):
            return
        with self._lock:
            if self._failure and self._failed_at >= asked:
                raise CredentialsError from self._failure
            try:
                self._found = self._fetched()
            except Exception as error:
                self._failure, self._failed_at = error, time.monotonic()
                raise CredentialsError from error
            self._failure = None

    def _fetched(self) -> Credentials:
        found = self._session.get_credentials()
        if found is None:
            raise NoCredentialsError
        found.get_frozen_credentials()
        return found


def _are_good(found: Credentials | None) -> bool:
    if found is None:
        return False
    return not isinstance(found, RefreshableCredentials) or not found.refresh_needed(_MUST_RENEW)
