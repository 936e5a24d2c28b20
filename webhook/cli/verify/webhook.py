"""The webhook itself: whether the API server gets an answer from it, and whether it has an AWS identity.

And whether AWS can be reached: by this command, and by the webhook as it reported it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.cli import suggested_commands as commands
from webhook.cli.verify.findings import Check, Finding, broken, note, ok, unknown
from webhook.model.aws_errors import CANNOT_REACH, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.verify.findings import Shared, Trial
    from webhook.model.aws_errors import AwsError

_REPLICAS = 2
"""As many as the chart has by default: how many there were before is not known."""

_NODES_SESSION = re.compile(r"assumed-role/[\w+=,.@-]{1,64}/i-[0-9a-f]{8,17}\b")
"""A session of an instance profile is named as the instance: see `aws:userid` in IAM's documentation."""

_OWN = frozenset(
    {
        "AWS_ROLE_ARN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_SHARED_CREDENTIALS_FILE",
    }
)
"""Variables of a pod that has credentials of its own: from EKS, or from `extraEnv`."""

_MOST_NAMED = 3

_REPORTED = re.compile(rf"{CANNOT_REACH} (?:{'|'.join(map(str, Service))}) at .*")
_NOT_TRUSTED = "TLS certificate is not trusted"


def check_webhook(shared: Shared, trial: Trial | None, *, self_managed: bool) -> Iterator[Finding]:
    """What the trial showed; where that is not enough, what the registration shows.

    `self_managed` is whether the program keeps the caBundle itself.
    """
    upgrade = _upgrade(shared)
    if trial is not None and trial.annotated:
        yield ok(Check.WEBHOOK, "a ServiceAccount sent through as a dry run is returned annotated")
    elif shared.registrations is not None and not shared.registrations:
        yield broken(
            Check.WEBHOOK, "the API server does not call it: no MutatingWebhookConfiguration is there", upgrade
        )
    elif _expired(shared):
        why = "the caBundle of its MutatingWebhookConfiguration has expired, so that no call succeeds"
        if self_managed:
            yield _down(why, shared)
        else:
            names = " ".join(one.name for one in shared.registrations or ())
            recreate = f"kubectl delete mutatingwebhookconfiguration {names} && {upgrade}"
            yield broken(Check.WEBHOOK, f"{why}; the chart's values must have a valid one", recreate)
    elif trial is not None:
        yield _tried(trial, shared)
    elif shared.registrations is not None:
        yield note(Check.WEBHOOK, "is registered, but was not tried: no binding selects anything to try it with")
    if shared.registrations is None:
        yield note(Check.WEBHOOK, "its MutatingWebhookConfiguration could not be read")


def _tried(trial: Trial, shared: Shared) -> Finding:
    if trial.annotated is False:
        return _down("the API server gets no answer from it, and continues without it", shared)
    if "failed calling webhook" in trial.said:
        return _down(f"the API server gets no answer from it: {trial.said}", shared)
    if trial.said:
        return unknown(Check.WEBHOOK, f"could not be tried: {trial.said}")
    return note(Check.WEBHOOK, "is registered; no call failed, and in mode pod-identity an answer changes nothing")


def _down(why: str, shared: Shared) -> Finding:
    """What a restart corrects; where no pod is to run, a restart would start none."""
    deployments, release = shared.deployments, shared.namespace
    if deployments is not None and not deployments:
        return broken(Check.WEBHOOK, f"{why}; it has no Deployment in {release}", _upgrade(shared))
    if deployments and not any(deployments.values()):
        stopped = sorted(deployments)
        why = f"{why}; its Deployment {', '.join(stopped)} is scaled to 0"
        return broken(Check.WEBHOOK, why, commands.scale(release, stopped, _REPLICAS))
    return broken(Check.WEBHOOK, why, _restart(release))


def _restart(release: str) -> str:
    """Have the program's pods replaced; `release` is its namespace."""
    return f"kubectl rollout restart -n {release} deployment -l {commands.PROGRAM_LABEL}"


def _upgrade(shared: Shared) -> str:
    where = f"-n {shared.namespace} --reset-then-reuse-values"
    return f"helm upgrade {shlex.quote(shared.release)} charts/mxp-identity-webhook {where}"


def upgrade_with(shared: Shared, value: str) -> str:
    """Have the chart installed again with one value more."""
    return f"{_upgrade(shared)} --set {value}"


def _expired(shared: Shared) -> bool:
    ends = [one.certificate_ends for one in shared.registrations or () if one.certificate_ends is not None]
    return bool(ends) and max(ends) < shared.now


def check_own_pods(shared: Shared) -> Iterator[Finding]:
    """A finding where pods of the webhook run without an identity of their own and bindings need AWS."""
    needs_aws = any(binding.edits_trust or binding.associates for binding in shared.installation.bindings)
    if shared.own_pods is None or not needs_aws:
        return
    bare = [pod for pod in shared.own_pods if pod.phase == "Running" and _OWN.isdisjoint(pod.variables)]
    if not bare:
        return
    is_kept_from_node = all(pod.variables.get("AWS_EC2_METADATA_DISABLED") == "true" for pod in bare)
    named = ", ".join(sorted(pod.name for pod in bare)[:_MOST_NAMED])
    acts = "so it has no credentials" if is_kept_from_node else "so it acts as the role of its node"
    why = f"the pod has no AWS identity of its own, {acts}: {named}; {_way_out(shared)}"
    is_wanted = shared.own_role is None and not is_kept_from_node
    yield (note if is_wanted else broken)(Check.WEBHOOK_IDENTITY, why, _restart(shared.namespace))


def refused_as_node(reported: str, shared: Shared) -> Finding | None:
    """Trust that AWS refused to the role of the webhook's node; None where it refused another."""
    if shared.own_pods is None or (session := _NODES_SESSION.search(reported)) is None:
        return None
    why = f"AWS refuses the webhook because it runs as the role of its node ({session[0]}); {_way_out(shared)}"
    return broken(Check.TRUST, why, _restart(shared.namespace))


def _way_out(shared: Shared) -> str:
    if shared.own_role is not None:
        return f"its ServiceAccount names {shared.own_role}: a restart gives it that"
    return "give its ServiceAccount a role (serviceAccount.roleArn, or an association), then restart it"


def check_endpoint(service: Service, error: AwsError) -> Finding:
    """A service that this command cannot reach; what is its own is then not known."""
    return unknown(Check(service.value), f"this command {error.unreachable}" if error.unreachable else str(error))


def unreached_by_webhook(check: Check, why: str, reported: str, shared: Shared) -> Finding | None:
    """What is missing because the webhook cannot reach a service, if that is what it reported; it tries again."""
    if (found := _REPORTED.search(reported)) is None:
        return None
    finding = broken(check, f"{why}, because the webhook {found[0]}")
    if _NOT_TRUSTED not in found[0]:
        return finding
    return replace(finding, template=upgrade_with(shared, "aws.caBundle.name=NAME"))
