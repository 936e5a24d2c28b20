"""Where the serving certificate comes from, its logs and metrics, and when it is ready."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import structlog

from certs.errors import Difference, PairError, Reason, StoreError
from certs.files import CertificateFiles, read_file
from certs.making import Lifetimes
from certs.report import Reload
from certs.selfmanaged import SelfManaged
from certs.serving import ServingContext
from webhook.config.contract import FilesSection
from webhook.kube.certificates import Registration, SecretStore
from webhook.model.errors import ConfigurationError
from webhook.telemetry import metrics

if TYPE_CHECKING:
    import ssl

    from webhook.config.contract import CertificatesSection, SelfManagedSection
    from webhook.kube.connection import Connection
    from webhook.telemetry.progress import Progress

log = structlog.get_logger(__name__)

_CHECK_SECONDS = 2.0
"""How often certificates are checked: damage has to be repaired within ten seconds."""

_FIRST_CHECKS_SECONDS = 0.5
"""How often they are checked until they are ready."""

_LONGEST_CHECK = 300.0
"""Seconds: some calls of ten seconds, each of which may wait for its turn."""


class Certificates:
    """The serving certificate while the program runs: `context` for the server, `run` beside it."""

    def __init__(
        self,
        context: ssl.SSLContext,
        source: CertificateFiles | SelfManaged,
        registration: str,
        progress: Progress,
    ) -> None:
        self._progress = progress
        self.context = context
        self._source = source
        self._registration = registration
        self._last_reason: str | None = None

    def not_ready_because(self) -> str | None:
        """What is missing, or None. The trust of callers has to be there once (see certificates.md)."""
        source = self._source
        if isinstance(source, CertificateFiles) or source.is_proven:
            return None
        return f"certificates: {self._missing(source)}"

    async def run(self) -> None:
        """Check them until cancelled."""
        while True:
            with self._progress.step("certificates", _LONGEST_CHECK):
                await self._check()
            await asyncio.sleep(_FIRST_CHECKS_SECONDS if self.not_ready_because() else _CHECK_SECONDS)

    async def _check(self) -> None:
        try:
            if isinstance(self._source, CertificateFiles):
                await asyncio.to_thread(self._source.reload)
            else:
                await self._source.reconcile()
                self._log_problem(None if self._source.is_registered else self._missing(self._source))
        except StoreError as error:
            self._log_problem(str(error))
        except Exception:
            log.exception("certificates_failed")
            metrics.unexpected_errors.labels("certificates").inc()

    def _log_problem(self, reason: str | None) -> None:
        """Log a problem when it begins or changes, and when it is over."""
        if reason == self._last_reason:
            return
        self._last_reason = reason
        if reason is None:
            log.info("certificates_recovered")
        else:
            log.warning("certificates_problem", reason=reason)

    def _missing(self, source: SelfManaged) -> str:
        if not source.is_served:
            return self._last_reason or "no certificate is served yet"
        if not source.is_registered:
            return (
                f"there is no MutatingWebhookConfiguration {self._registration} with a webhook in it, so the API "
                "server sends no reviews; create it, or correct certificates.webhookConfiguration"
            )
        if source.refused_because:
            return f"a handshake against the API server's caBundle fails: {source.refused_because}"
        return self._last_reason or "the API server's caBundle does not have the program's authority yet"


class _Report:
    """Logs and metrics of certificates. What is recreated is logged by its reason; keys never come here."""

    def __init__(self) -> None:
        for reason in Reason:  # samples from the start, so that a rate sees the first
            metrics.certificate_regenerations.labels(reason.value)
        for outcome in get_args(Reload):
            metrics.certificate_reloads.labels(outcome)
        for difference in Difference:
            metrics.ca_bundle_writes.labels(difference.value)

    def regenerated(self, reason: Reason, what: str) -> None:
        log.warning("certificate_regenerated", reason=reason.value, what=what)
        metrics.certificate_regenerations.labels(reason.value).inc()

    def reloaded(self, outcome: Reload, detail: str) -> None:
        if outcome == "loaded":
            log.info("certificate_loaded", detail=detail)
        else:
            log.error("certificate_refused", reason=detail)
        metrics.certificate_reloads.labels(outcome).inc()

    def announced(self, difference: Difference, authorities: int) -> None:
        level = logging.WARNING if difference is Difference.OVERWRITTEN else logging.INFO
        log.log(level, "ca_bundle_written", reason=difference.value, authorities=authorities)
        metrics.ca_bundle_writes.labels(difference.value).inc()

    def expiries(self, leaf: dt.datetime, authority: dt.datetime | None) -> None:
        metrics.certificate_expiry.labels("leaf").set(leaf.timestamp())
        if authority is not None:
            metrics.certificate_expiry.labels("ca").set(authority.timestamp())


def certificates_of(
    section: CertificatesSection, connection: Connection, namespace: str, replica: str, progress: Progress
) -> Certificates:
    """The certificates that the configuration asks for. Raises ConfigurationError where files are no pair."""
    context, report = ServingContext(), _Report()

    def clock() -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    if isinstance(section, FilesSection):
        files = CertificateFiles(Path(section.cert_file), Path(section.key_file), context, report, clock)
        _load(files, section)
        return Certificates(context.context, files, "", progress)
    source = SelfManaged(
        SecretStore(connection, namespace, section.secret),
        Registration(connection, section.webhook_configuration),
        context,
        report,
        replica=replica,
        names=service_names(section, namespace),
        clock=clock,
        lifetimes=Lifetimes(
            dt.timedelta(seconds=section.ca_validity), dt.timedelta(seconds=section.leaf_validity)
        ),
    )
    return Certificates(context.context, source, section.webhook_configuration, progress)


def service_names(section: SelfManagedSection, namespace: str) -> frozenset[str]:
    """The names that the leaf is for: the API server calls a Service by the first of them."""
    base = f"{section.service}.{namespace}"
    return frozenset({f"{base}.svc", base, f"{base}.svc.cluster.local", *section.extra_names})


def _load(files: CertificateFiles, section: FilesSection) -> None:
    for name, path in (("certFile", section.cert_file), ("keyFile", section.key_file)):
        try:
            read_file(Path(path))
        except OSError as error:
            raise ConfigurationError(f"certificates.{name}: {path} cannot be read: {error.strerror}") from error
        except PairError as error:
            raise ConfigurationError(f"certificates.{name}: {path} cannot be read: {error}") from error
    try:
        files.load()
    except (PairError, OSError) as error:
        raise ConfigurationError(
            f"certificates: {section.cert_file} and {section.key_file} cannot be served: {error}"
        ) from error
