"""The webhook's own AWS identity: its pod's, or, where that has none, its node's or none at all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from webhook.cli.verify.findings import Finding, broken, note
from webhook.cli.verify.registration import restart

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.verify.facts import Shared

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


def check_own_pods(shared: Shared) -> Iterator[Finding]:
    """A finding where pods of the webhook run without an identity of their own and bindings need AWS."""
    own = shared.own
    needs_aws = any(binding.edits_trust or binding.associates for binding in shared.installation.bindings)
    if own is None or not needs_aws:
        return
    bare = [pod for pod in own.pods if pod.phase == "Running" and _OWN.isdisjoint(pod.variables)]
    if not bare:
        return
    is_kept_from_node = all(pod.variables.get("AWS_EC2_METADATA_DISABLED") == "true" for pod in bare)
    named = ", ".join(sorted(pod.name for pod in bare)[:_MOST_NAMED])
    acts = "so it has no credentials" if is_kept_from_node else "so it acts as the role of its node"
    why = f"the pod has no AWS identity of its own, {acts}: {named}; {_way_out(shared)}"
    is_wanted = shared.own_role is None and not is_kept_from_node
    yield (note if is_wanted else broken)("webhook identity", why, restart(own.namespace))


def refused_as_node(told: str, shared: Shared) -> Finding | None:
    """What is said of trust that AWS refused to the role of the webhook's node; None where it refused another."""
    if shared.own is None or (session := _NODES_SESSION.search(told)) is None:
        return None
    why = f"AWS refuses the webhook because it runs as the role of its node ({session[0]}); {_way_out(shared)}"
    return broken("trust", why, restart(shared.own.namespace))


def _way_out(shared: Shared) -> str:
    if shared.own_role is not None:
        return f"its ServiceAccount names {shared.own_role}: a restart gives it that"
    return "give its ServiceAccount a role (serviceAccount.roleArn, or an association), then restart it"
