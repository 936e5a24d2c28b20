"""What goes over the control API, as JSON: the values of `controls` that are not values of their own elsewhere."""

from typing import Any

import msgspec

from rig.aws.faults import Fault


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a client has to know of a stand-in."""

    account: str
    region: str
    quota: int
    association_quota: int
    access_key_id: str
    secret_access_key: str


class SwitchState(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that is on. `used` counts the calls that met it."""

    number: int
    used: int
    fault: Fault


class Quota(msgspec.Struct, frozen=True):
    """The size a trust policy may have, in characters that are not white space."""

    characters: int


class AssociationQuota(msgspec.Struct, frozen=True):
    """How many Pod Identity associations a cluster may have."""

    associations: int


class Cluster(msgspec.Struct, frozen=True):
    """An EKS cluster's name, and the issuer of its tokens."""

    name: str
    issuer: str


class Issuer(msgspec.Struct, frozen=True):
    """An issuer's JWKS, or the plain http URL of it; null makes its keys unreachable."""

    issuer: str
    jwks: dict[str, Any] | str | None


class Principal(msgspec.Struct, frozen=True):
    """The ARN of a user or role."""

    arn: str
