"""Commands that correct what `verify` finds, quoted so that they can be run as they stand."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from webhook.cli import account_calls
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from webhook.iam.trust_policy import TrustPolicy
    from webhook.model.names import RoleArn, Subject


EDITING = ("iam:GetRole", "iam:UpdateAssumeRolePolicy")
"""What the program needs in a role whose trust it edits."""

PROGRAM_LABEL = "mxp-identity/component=webhook"
"""What the chart has on the program's objects and pods; `nameOverride` changes other labels."""

WEBHOOK = "serviceaccounts.mxp-identity.local"
"""The name of the webhook in the chart's MutatingWebhookConfiguration."""

_BETWEEN = frozenset({"&&", "|"})
"""Between two commands: the second is for when the first went well, or reads what it prints."""


def options(given: Mapping[str, object]) -> tuple[str, ...]:
    """The options that have a value, as words of a command line."""
    return tuple(word for name, value in given.items() if value is not None for word in (name, str(value)))


def list_associations(cluster: str, subject: Subject) -> str:
    """Show a ServiceAccount's Pod Identity association."""
    place = ["--namespace", subject.namespace, "--service-account", subject.service_account]
    return shlex.join(["aws", "eks", "list-pod-identity-associations", "--cluster-name", cluster, *place])


def delete_association(cluster: str, association_id: str) -> str:
    """Delete a Pod Identity association, once its owner is known."""
    argv = ["aws", "eks", "delete-pod-identity-association", "--cluster-name", cluster]
    return shlex.join([*argv, "--association-id", association_id])


def annotate(subject: Subject, *changes: str) -> str:
    """Set annotations of a ServiceAccount (`key=value`), or remove some (`key-`)."""
    place = ["-n", subject.namespace, "serviceaccount", subject.service_account]
    return shlex.join(["kubectl", "annotate", "--overwrite", *place, *changes])


def annotate_role(subject: Subject, role: RoleArn, *changes: str) -> str:
    """Have a ServiceAccount name `role`."""
    return annotate(subject, f"{ROLE_ARN_ANNOTATION}={role}", *changes)


def create_account(subject: Subject) -> str:
    """Create the ServiceAccount."""
    return shlex.join(["kubectl", "create", "-n", subject.namespace, "serviceaccount", subject.service_account])


def label(namespace: str, *labels: str) -> str:
    """Set labels of a namespace, or remove some."""
    return shlex.join(["kubectl", "label", "--overwrite", "namespace", namespace, *labels])


def delete_pod(namespace: str, pod: str) -> str:
    """Have a pod recreated by its owner."""
    return shlex.join(["kubectl", "delete", "-n", namespace, "pod", pod])


def scale(namespace: str, deployments: Sequence[str], replicas: int) -> str:
    """Have Deployments run so many pods each."""
    place = ["-n", namespace, "deployment", *deployments]
    return shlex.join(["kubectl", "scale", *place, f"--replicas={replicas}"])


_CONTEXT_OPTIONS = {"kubectl": "--context", "helm": "--kube-context"}


def in_context(command: str, context: str) -> str:
    """The same for another context of the kubeconfig than the current one."""
    words: list[str] = []
    begins = True
    for word in shlex.split(command):
        words.append(word)
        if begins and word in _CONTEXT_OPTIONS:
            words += [_CONTEXT_OPTIONS[word], context]
        begins = word in _BETWEEN
    return " ".join(word if word in _BETWEEN else shlex.quote(word) for word in words)


def apply(options: Sequence[str], *more: str) -> str:
    """Apply the plan once."""
    return shlex.join(["mxp-identity", "apply", *options, *more])


def adopt(options: Sequence[str], *more: str) -> str:
    """Print what would be taken over of what people made by hand."""
    return shlex.join(["mxp-identity", "adopt", *options, *more])


def ask_sts(subject: Subject, options: Sequence[str]) -> str:
    """Ask STS whether it accepts a token of the ServiceAccount."""
    return shlex.join(["mxp-identity", "verify", subject.namespace, "--assume", *options])


def set_up(role: RoleArn, options: Sequence[str]) -> str:
    """Make a role for backups with its permissions, once the bucket's NAME and the region's are put in."""
    bucket = ["--bucket", "NAME", "--region", "NAME"]
    return shlex.join(["mxp-identity", "setup", *bucket, "--role", role.name, *options, "--approve"])


def let_edit(own_role: RoleArn, role: RoleArn) -> str:
    """Allow the program's role what it needs in `role`, and remove nothing: the policy has a name of its own."""
    allowed = {"Effect": "Allow", "Action": EDITING, "Resource": role.value}
    return account_calls.put_policy(own_role, f"trust-of-{role.name}", account_calls.policy_of(allowed)).command()


def create_role(role: RoleArn, statement: dict[str, Any]) -> str:
    """Create the role, trusting by `statement`; its permissions are another command."""
    return account_calls.create_role(role, account_calls.policy_of(statement)).command()


def write_policy(role: RoleArn, policy: TrustPolicy) -> str:
    """Replace the trust policy; to be read before it is run."""
    return account_calls.update_trust(role, policy).command()


def raise_quota(characters: int) -> str:
    """Ask AWS for longer trust policies."""
    quota = ["--service-code", "iam", "--quota-code", "L-C07B4B0D", "--desired-value", str(characters)]
    return shlex.join(["aws", "service-quotas", "request-service-quota-increase", *quota, "--region", "us-east-1"])
