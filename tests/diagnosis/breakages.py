"""Five ways in which clusters break; breakages.yaml has what a person is to see of each."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from rig.kubernetes import objects
from rig.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.diagnosis.place import Place

QUOTA = 2048
SUBJECT = 90
"""Characters of a subject in a trust policy, at most."""

BETWEEN_S = 25.0
"""From one control plane to the next, in seconds: longer than Prometheus scrapes the API server."""


@dataclass(frozen=True)
class Breakage:
    """A cluster, and what a person is to see of it."""

    cluster: str
    title: str
    happened: str
    alerts: tuple[str, ...]
    panels: tuple[str, ...]
    reading: str
    said: str
    asked: str = ""

    def befall(self, place: Place) -> None:
        """Break the cluster."""
        HOW[self.cluster](place)


def breakages() -> list[Breakage]:
    """All of them."""
    listed = yaml.safe_load((Path(__file__).parent / "breakages.yaml").read_text())
    return [Breakage(**{**one, "alerts": tuple(one["alerts"]), "panels": tuple(one["panels"])}) for one in listed]


def _withdraw_a_right(place: Place) -> None:
    (name,) = place.iam.list_role_policies(RoleName=place.own_role)["PolicyNames"]
    document = place.iam.get_role_policy(RoleName=place.own_role, PolicyName=name)["PolicyDocument"]
    narrowed = json.dumps(document).replace("iam:UpdateAssumeRolePolicy", "iam:GetRole")
    place.iam.put_role_policy(RoleName=place.own_role, PolicyName=name, PolicyDocument=narrowed)
    place.add("billing")


def _fill_the_role(place: Place) -> None:
    gone: list[str] = []
    while len(place.trust()) + SUBJECT < QUOTA:
        gone.append(objects.host_namespace_name())
        place.add_trusted(gone[-1])
    place.site.released.kill()
    for namespace in gone:
        place.site.cluster.api.delete(f"/api/v1/namespaces/{namespace}")
    eventually(lambda: not place.namespaces() & {*gone}, "the namespaces are gone", timeout=120, longest_pause=1)
    place.site.released.start_again()
    place.add("billing")


def _crash(place: Place) -> None:
    """The API server's count must rise between two scrapes: a first one is not seen as an increase."""
    place.site.released.kill()
    for name in ("billing", "payments"):
        place.add(name)
        time.sleep(BETWEEN_S)


def _forget_a_label(place: Place) -> None:
    place.add("billing", labels={})


def _delete_the_provider(place: Place) -> None:
    place.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=place.provider_arn)
    place.site.released.kill()
    place.site.released.start_again()
    place.add("billing")


HOW: dict[str, Callable[[Place], None]] = {
    "eu-1": _withdraw_a_right,
    "eu-2": _fill_the_role,
    "us-1": _crash,
    "us-2": _forget_a_label,
    "ap-1": _delete_the_provider,
}
