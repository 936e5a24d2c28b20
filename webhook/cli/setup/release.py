"""The release of the webhook's chart: its image, its ServiceAccount, and the values with which it starts."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from webhook.model.errors import InvalidNameError
from webhook.model.names import is_service_account_name

if TYPE_CHECKING:
    from webhook.cli.setup.prerequisites import DesiredAccount

CHART = "mxp-identity-webhook"

_IMAGE = re.compile(
    r"(?P<registry>[A-Za-z0-9.-]+(:\d+)?)/(?P<repository>[a-z0-9._/-]+)"
    r"(:(?P<tag>\w[\w.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_LONGEST_RELEASE, _LONGEST_FULLNAME = 53, 52
"""Characters: Helm's limit, and the chart's (templates/_helpers.tpl)."""


@dataclass(frozen=True, slots=True)
class Image:
    """The program's image, as the chart's values have it."""

    registry: str
    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, given: str) -> Self:
        """Raises InvalidNameError where registry or version is missing: the chart takes no other."""
        looks = "it looks like 123456789012.dkr.ecr.us-west-2.amazonaws.com/mxp-identity-webhook:0.1.0"
        match = _IMAGE.fullmatch(given)
        if match is None or not ({".", ":"} & set(match["registry"]) or match["registry"] == "localhost"):
            raise InvalidNameError(f"--image {given!r} is not an image with its registry; {looks}")
        if not match["tag"] and not match["digest"]:
            raise InvalidNameError(
                f"--image {given} has no tag: add the one that you pushed, such as the version that `mxp-identity "
                f"version` prints, or @sha256:...; {looks}"
            )
        return cls(match["registry"], match["repository"], match["tag"] or "", match["digest"] or "")


def service_account_of(release: str) -> str:
    """The ServiceAccount of a release of the chart that is given no other name (templates/_helpers.tpl).

    Raises InvalidNameError for a name that Helm does not allow.
    """
    if not is_service_account_name(release) or len(release) > _LONGEST_RELEASE:
        raise InvalidNameError(f"--release {release!r} is not the name of a Helm release; it looks like {CHART}")
    fullname = release if CHART in release else f"{release}-{CHART}"
    return fullname[:_LONGEST_FULLNAME].removesuffix("-")


def chart_values(desired: DesiredAccount, image: Image, region: str, *, named_account: bool) -> dict[str, Any]:
    """A binding for the backups of every control plane and one for each other workload, image and identity.

    In mode pod-identity the cluster's name, its region, which EKS does not set there, and the pod gate: a pod that
    starts before its association is propagated never gets an identity.
    """
    account: dict[str, Any] = {"name": desired.program.service_account} if named_account else {}
    if not desired.associates:
        account["roleArn"] = desired.own_role.value
    bindings = [one.preset.binding(one.roles, desired.mode, desired.pattern) for one in desired.bound]
    values: dict[str, Any] = {
        "image": {key: value for key, value in asdict(image).items() if value},
        "bindings": bindings,
    }
    if account:
        values["serviceAccount"] = account
    if desired.cluster is not None:
        values["cluster"] = {"name": desired.cluster.name}
    if desired.associates:
        values |= {"aws": {"region": region}, "podGate": "deny"}
    return values
