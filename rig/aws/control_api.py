"""The controls over HTTP, under /_standin/, for a stand-in that runs in another process.

GET about; PUT quota, association-quota, clusters; GET associations/CLUSTER/SECONDS-AGO; GET, PUT violations; GET,
POST, DELETE faults and DELETE faults/NUMBER; GET history/ROLE; GET, DELETE log; GET in-flight; PUT issuers; POST
deleted-principals. Bodies and answers are JSON; a fault names its kind in `type`:
`curl -d '{"type": "Latency", "seconds": 0.15}' URL/_standin/faults`.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from rig.aws.associations import Association
from rig.aws.control_messages import About, AssociationQuota, Cluster, Issuer, Principal, Quota, SwitchState
from rig.aws.controls import Controls
from rig.aws.endpoint import Endpoint
from rig.aws.faults import Fault
from rig.aws.http import Request, Response
from rig.aws.violations import Violation

_JSON = {"Content-Type": "application/json"}

Action = Callable[[str, bytes], Any]


class ControlApi:
    """Answers control requests of one stand-in."""

    def __init__(self, controls: Controls, endpoint: Endpoint) -> None:
        self._controls = controls
        self._endpoint = endpoint
        self._routes: list[tuple[str, re.Pattern[str], Action]] = [
            (method, re.compile(f"/_standin/{path}"), action)
            for method, path, action in (
                ("GET", "about", self._about),
                ("PUT", "quota", self._set_quota),
                ("PUT", "association-quota", self._set_association_quota),
                ("PUT", "clusters", self._add_cluster),
                ("GET", "associations/(.+)", self._associations),
                ("GET", "violations", lambda _, __: sorted(controls.violations)),
                ("PUT", "violations", self._violate),
                ("GET", "faults", self._faults),
                ("POST", "faults", self._switch_on),
                ("DELETE", "faults/?([0-9]*)", self._switch_off),
                ("GET", "history/(.+)", lambda role, _: controls.history(role)),
                ("GET", "log", lambda _, __: controls.log),
                ("DELETE", "log", lambda _, __: controls.forget_calls()),
                ("GET", "in-flight", lambda _, __: controls.in_flight),
                ("PUT", "issuers", self._set_issuer),
                ("POST", "deleted-principals", self._delete_principal),
            )
        ]

    def answer(self, request: Request) -> Response:
        """Answer a control request: 400 with the reason for a bad body, 404 for what is not there."""
        for method, path, action in self._routes:
            found = path.fullmatch(request.target)
            if found is None or method != request.method:
                continue
            try:
                result = action(found[1] if found.groups() else "", request.body)
            except (msgspec.DecodeError, ValueError) as error:
                return Response(400, msgspec.json.encode({"error": str(error)}), _JSON)
            return Response(200, msgspec.json.encode(result), _JSON)
        return Response(404, msgspec.json.encode({"error": "no such control", "see": __doc__}), _JSON)

    def _about(self, _: str, __: bytes) -> About:
        return About(
            account=self._endpoint.account,
            region=self._endpoint.region,
            quota=self._controls.quota,
            association_quota=self._controls.association_quota,
            access_key_id=self._endpoint.root.access_key_id,
            secret_access_key=self._endpoint.root.secret_access_key,
        )

    def _set_quota(self, _: str, body: bytes) -> None:
        self._controls.quota = msgspec.json.decode(body, type=Quota).characters

    def _set_association_quota(self, _: str, body: bytes) -> None:
        self._controls.association_quota = msgspec.json.decode(body, type=AssociationQuota).associations

    def _add_cluster(self, _: str, body: bytes) -> str:
        cluster = msgspec.json.decode(body, type=Cluster)
        return self._controls.add_cluster(cluster.name, cluster.issuer)

    def _associations(self, path: str, _: bytes) -> list[Association]:
        cluster, *ago = path.split("/")
        return self._controls.associations(cluster, float(ago[0]) if ago else 0.0)

    def _violate(self, _: str, body: bytes) -> None:
        self._controls.violations = msgspec.json.decode(body, type=set[Violation])

    def _faults(self, _: str, __: bytes) -> list[SwitchState]:
        return [
            SwitchState(number=switch.number, used=switch.used, fault=switch.fault)
            for switch in self._controls.faults
        ]

    def _switch_on(self, _: str, body: bytes) -> SwitchState:
        switch = self._controls.switch_on(msgspec.json.decode(body, type=Fault))
        return SwitchState(number=switch.number, used=switch.used, fault=switch.fault)

    def _switch_off(self, number: str, _: bytes) -> None:
        for switch in self._controls.faults:
            if number in {"", str(switch.number)}:
                self._controls.switch_off(switch)

    def _set_issuer(self, _: str, body: bytes) -> None:
        issuer = msgspec.json.decode(body, type=Issuer)
        if issuer.jwks is None:
            self._controls.remove_issuer(issuer.issuer)
        else:
            self._controls.add_issuer(issuer.issuer, issuer.jwks)

    def _delete_principal(self, _: str, body: bytes) -> None:
        self._controls.delete_principal(msgspec.json.decode(body, type=Principal).arn)
