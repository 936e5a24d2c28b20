"""The steps as a configuration for Terraform: every object, those that are there already to be imported."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from webhook.cli.setup.steps import Step

_OF_OTHERS = ("description", "max_session_duration", "permissions_boundary", "tags")
"""Attributes of a role that `setup` does not name, and that Terraform would reset where it imports one."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A resource of the AWS provider: its attributes, by the parameters of the call that creates the object."""

    type: str
    named_by: tuple[str, ...]
    """The parameters that its name is made of."""
    attributes: Mapping[str, str]
    documents: frozenset[str] = field(default_factory=frozenset)
    """Parameters that are JSON."""


_KINDS = {
    "create_open_id_connect_provider": _Kind(
        "aws_iam_openid_connect_provider", (), {"Url": "url", "ClientIDList": "client_id_list"}
    ),
    "create_role": _Kind(
        "aws_iam_role",
        ("RoleName",),
        {"RoleName": "name", "AssumeRolePolicyDocument": "assume_role_policy"},
        frozenset({"AssumeRolePolicyDocument"}),
    ),
    "put_role_policy": _Kind(
        "aws_iam_role_policy",
        ("RoleName", "PolicyName"),
        {"RoleName": "role", "PolicyName": "name", "PolicyDocument": "policy"},
        frozenset({"PolicyDocument"}),
    ),
    "create_addon": _Kind(
        "aws_eks_addon", ("addonName",), {"clusterName": "cluster_name", "addonName": "addon_name"}
    ),
    "create_pod_identity_association": _Kind(
        "aws_eks_pod_identity_association",
        ("serviceAccount",),
        {
            "clusterName": "cluster_name",
            "namespace": "namespace",
            "serviceAccount": "service_account",
            "roleArn": "role_arn",
        },
    ),
}
"""By the operation of the call that creates it."""


def configuration(steps: Sequence[Step]) -> str:
    """Resources of the AWS provider, and imports (Terraform 1.5), as HCL. A second run prints the same."""
    return "\n".join(block for step in steps for block in _blocks(step))


def _blocks(step: Step) -> Iterator[str]:
    kind, parameters = _KINDS[step.wanted.operation], step.wanted.parameters
    name = _name(*(str(parameters[one]) for one in kind.named_by)) or "cluster"
    if step.id is not None:
        yield f"import {{\n  to = {kind.type}.{name}\n  id = {_text(step.id)}\n}}\n"
    lines = [f"  {attribute} = {_value(kind, key, parameters)}" for key, attribute in kind.attributes.items()]
    if kind.type == "aws_iam_role":
        # The webhook writes trust policies of bound roles; what others gave a role that was there is theirs.
        ignored = ("assume_role_policy", *_OF_OTHERS) if step.edited is not None else _OF_OTHERS
        lines.append(f"\n  lifecycle {{\n    ignore_changes = [{', '.join(ignored)}]\n  }}")
    yield f'resource "{kind.type}" "{name}" {{\n' + "\n".join(lines) + "\n}\n"


def _value(kind: _Kind, key: str, parameters: Mapping[str, Any]) -> str:
    """An attribute's value. Other resources are referred to, so that Terraform creates them in order."""
    value = parameters[key]
    if kind.type == "aws_iam_role_policy" and key == "RoleName":
        return f"aws_iam_role.{_name(value)}.name"
    if key == "roleArn":
        return f"aws_iam_role.{_name(value.rpartition('/')[2])}.arn"
    if key in kind.documents:
        indented = json.dumps(json.loads(value), indent=2).replace("\n", "\n  ")
        return f"jsonencode({_escaped(indented)})"
    return json.dumps(value) if isinstance(value, list) else _text(value)


def _name(*parts: str) -> str:
    """A resource's name: it begins with a letter, and has no dots (Terraform language, identifiers).

    What it cannot have is its number in place of itself: roles a.b and a_b are two resources.
    """
    joined = _NOT_IN_NAMES.sub(lambda found: f"_{ord(found[0]):x}", "-".join(parts))
    return joined if not joined or joined[0].isalpha() else f"_{joined}"


def _text(value: str) -> str:
    return _escaped(json.dumps(value))


def _escaped(text: str) -> str:
    """What begins a template in a string of HCL is doubled."""
    return text.replace("${", "$${").replace("%{", "%%{")
