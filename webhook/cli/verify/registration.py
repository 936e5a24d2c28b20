"""The webhook itself: whether the API server calls it, and gets an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webhook.cli import suggested_commands as commands
from webhook.cli.verify.findings import Finding, broken, note, ok, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.verify.facts import Shared, Trial

PROGRAM_LABEL = "app.kubernetes.io/name=mxp-identity-webhook"
"""What the chart has on the program's Deployment."""

_REPLICAS = 2
"""As many as the chart has by default: how many there were before nothing tells."""


def check_webhook(shared: Shared, trial: Trial | None, release: str, *, self_managed: bool) -> Iterator[Finding]:
    """What the trial showed; where that is not enough, what the registration says.

    `release` is the program's namespace; `self_managed` whether it keeps the caBundle itself.
    """
    upgrade = _upgrade(release)
    if trial is not None and trial.annotated:
        yield ok("webhook", "a ServiceAccount sent through as a dry run comes back annotated")
    elif shared.registrations is not None and not shared.registrations:
        yield broken(
            "webhook", "the API server does not call it: no MutatingWebhookConfiguration is there", upgrade
        )
    elif _expired(shared):
        why = "the caBundle of its MutatingWebhookConfiguration has expired, so that no call succeeds"
        if self_managed:
            yield _down(why, shared, release)
        else:
            names = " ".join(one.name for one in shared.registrations or ())
            anew = f"kubectl delete mutatingwebhookconfiguration {names} && {upgrade}"
            yield broken("webhook", f"{why}; the chart's values must have a valid one", anew)
    elif trial is not None:
        yield _tried(trial, shared, release)
    elif shared.registrations is not None:
        yield note("webhook", "is registered, but was not tried: no binding selects anything to try it with")
    if shared.registrations is None:
        yield note("webhook", "its MutatingWebhookConfiguration could not be read")


def _tried(trial: Trial, shared: Shared, release: str) -> Finding:
    if trial.annotated is False:
        return _down("the API server gets no answer from it, and goes on without", shared, release)
    if "failed calling webhook" in trial.said:
        return _down(f"the API server gets no answer from it: {trial.said}", shared, release)
    if trial.said:
        return unknown("webhook", f"could not be tried: {trial.said}")
    return note("webhook", "is registered; no call failed, and in mode pod-identity an answer changes nothing")


def _down(why: str, shared: Shared, release: str) -> Finding:
    """What a program that starts anew mends; where none is to run, a restart would start none."""
    deployments = shared.deployments
    if deployments is not None and not deployments:
        return broken("webhook", f"{why}; it has no Deployment in {release}", _upgrade(release))
    if deployments and not any(deployments.values()):
        stopped = sorted(deployments)
        why = f"{why}; its Deployment {', '.join(stopped)} is scaled to 0"
        return broken("webhook", why, commands.scale(release, stopped, _REPLICAS))
    return broken("webhook", why, restart(release))


def restart(release: str) -> str:
    """Have the program's pods replaced; `release` is its namespace."""
    return f"kubectl rollout restart -n {release} deployment -l {PROGRAM_LABEL}"


def _upgrade(release: str) -> str:
    return f"helm upgrade mxp-identity-webhook charts/mxp-identity-webhook -n {release} --reuse-values"


def _expired(shared: Shared) -> bool:
    ends = [one.certificate_ends for one in shared.registrations or () if one.certificate_ends is not None]
    return bool(ends) and max(ends) < shared.now
