"""The bundle: authorities, leaf and the replicas' entries, as all replicas share it in one Secret.

| key | holds |
|---|---|
| `ca.crt`, `ca.key` | the authority that signs |
| `tls.crt`, `tls.key` | the leaf that is served |
| `next-ca.crt`, `next-ca.key` | the authority that follows: announced in the caBundle, signs nothing yet |
| `previous-ca.crt` | authorities that some replica may still serve a leaf of |
| `replicas.json` | which authority's leaf each replica serves, and since when the authorities are these |
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from certs.errors import BundleError, Reason
from certs.pairs import Pair, read_certificates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from certs.pairs import Certificate


_MOST_PREVIOUS = 8
"""Previous authorities that count: a rotation leaves one, each restoration from memory a few."""

_LONGEST_REPLICAS = 65536
"""Bytes of the replicas' entries; one takes about 120."""


class Served(msgspec.Struct, frozen=True):
    """A replica's entry: the fingerprint of its leaf's authority, and when it was written (Unix time)."""

    ca: str
    at: float


class _Replicas(msgspec.Struct, frozen=True):
    since: float = 0.0
    replicas: dict[str, Served] = {}


@dataclass(frozen=True)
class Bundle:
    """A bundle whose authorities can be read and whose keys fit."""

    authority: Pair
    leaf: Pair | None
    leaf_fault: Reason | None = None
    """Why there is no leaf."""
    following: Pair | None = None
    previous: tuple[Certificate, ...] = ()
    since: float = 0.0
    """When `authority` became the one that signs, or `previous` grew (Unix time)."""
    replicas: Mapping[str, Served] = field(default_factory=dict)

    @property
    def trusted(self) -> tuple[Certificate, ...]:
        """The authorities that the API server must trust: the one that signs, the next, and the previous."""
        following = () if self.following is None else (self.following.certificate,)
        return tuple(dict.fromkeys((self.authority.certificate, *following, *self.previous)))

    @property
    def ca_bundle(self) -> bytes:
        """`trusted` as one PEM text."""
        return b"".join(certificate.pem for certificate in self.trusted)

    @property
    def changing(self) -> bool:
        """Whether the authority is being replaced."""
        return self.following is not None or bool(self.previous)

    def with_leaf(self, leaf: Pair) -> Bundle:
        """The same with another leaf."""
        return replace(self, leaf=leaf, leaf_fault=None)

    def issuer_of_leaf(self) -> Certificate | None:
        """The trusted authority that signed the leaf."""
        if self.leaf is None:
            return None
        leaf = self.leaf.certificate
        return next((one for one in self.trusted if leaf.is_signed_by(one)), None)

    def written(self) -> dict[str, bytes]:
        """The bundle as data of a Secret."""
        data = {"ca.crt": self.authority.certificate.pem, "ca.key": self.authority.key}
        if self.leaf is not None:
            data |= {"tls.crt": self.leaf.certificate.pem, "tls.key": self.leaf.key}
        if self.following is not None:
            data |= {"next-ca.crt": self.following.certificate.pem, "next-ca.key": self.following.key}
        if self.previous:
            data["previous-ca.crt"] = b"".join(one.pem for one in self.previous)
        data["replicas.json"] = msgspec.json.encode(_Replicas(self.since, dict(self.replicas)))
        return data


def read_bundle(data: Mapping[str, bytes]) -> Bundle:
    """The bundle in a Secret's data. Raises BundleError where its authorities cannot be used.

    A leaf that cannot be used is no error: its authority makes another.
    """
    authority = _authority(data, "ca")
    following = _authority(data, "next-ca") if data.keys() & {"next-ca.crt", "next-ca.key"} else None
    previous = read_certificates(data["previous-ca.crt"]) if data.get("previous-ca.crt") else ()
    previous = tuple(one for one in previous if one.is_authority)[:_MOST_PREVIOUS]
    entries = _replicas(data.get("replicas.json", b"{}"))
    bundle = Bundle(authority, None, Reason.MISSING, following, previous, entries.since, entries.replicas)
    try:
        return bundle.with_leaf(_pair(data, "tls"))
    except BundleError as error:
        return replace(bundle, leaf_fault=error.reason)


def _authority(data: Mapping[str, bytes], name: str) -> Pair:
    pair = _pair(data, name)
    if not pair.certificate.is_authority:
        raise BundleError(Reason.UNREADABLE, f"{name}.crt is not the certificate of an authority")
    return pair


def _pair(data: Mapping[str, bytes], name: str) -> Pair:
    for part in (f"{name}.crt", f"{name}.key"):
        if not data.get(part):
            raise BundleError(Reason.MISSING, f"{part} is missing")
    try:
        return Pair.read(data[f"{name}.crt"], data[f"{name}.key"])
    except BundleError as error:
        raise BundleError(error.reason, f"{name}: {error}") from error


def _replicas(text: bytes) -> _Replicas:
    if len(text) > _LONGEST_REPLICAS:
        return _Replicas()
    try:
        return msgspec.json.decode(text, type=_Replicas)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _Replicas()  # it was edited: each replica writes its own entry again
