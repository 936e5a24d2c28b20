"""Whatever comes to the port: an answer in plain words, never an error of ours, never a change of trust."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.reviews import UID, Reply, annotated, review, reviewing
from tests.support.sites import external_document, role, subject
from tests.support.virtual_time import in_virtual_time
from tests.support.worlds import World
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SUBJECT = subject(1)
MEBIBYTE = 1024 * 1024
VALID = review(SUBJECT)

examples = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def _world() -> World:
    """One in which the namespace of WHO is not selected: nothing that a review says may lead to trust."""
    world = World()
    world.cluster.add_namespace(SUBJECT.namespace, selected=False)
    return world


async def _sent(body: Any, **how: Any) -> Reply:
    world = _world()
    async with reviewing(world) as reviewer:
        reply = await reviewer.send(body, **how)
    assert reply.status < 500
    assert "Traceback" not in reply.text
    assert world.iam.calls == []
    assert world.iam.history(role()) == [external_document(role())]
    assert world.events.written == []
    return reply


def _changed(**request: Any) -> dict[str, Any]:
    return {**VALID, "request": {**VALID["request"], **request}}


REFUSED: dict[str, Any] = {
    "nothing": b"",
    "white space": b"  \n",
    "no JSON": b"{",
    "a number": 7,
    "null": None,
    "a list": [],
    "an empty object": {},
    "another kind": {**VALID, "kind": "TokenReview"},
    "another version": {**VALID, "apiVersion": "admission.k8s.io/v1beta1"},
    "no request": {key: value for key, value in VALID.items() if key != "request"},
    "a null request": {**VALID, "request": None},
    "no uid": {**VALID, "request": {key: value for key, value in VALID["request"].items() if key != "uid"}},
    "an empty uid": _changed(uid=""),
    "a numeric uid": _changed(uid=1),
    "a null object": _changed(object=None),
    "an object without metadata": _changed(object={}),
    "an object that is a list": _changed(object=[]),
    "metadata that is a number": _changed(object={"metadata": 1}),
    "annotations that are a list": _changed(object={"metadata": {"annotations": []}}),
    "a role that is a number": _changed(object={"metadata": {"annotations": {ROLE_ARN_ANNOTATION: 1}}}),
    "a uid as long as the body": _changed(uid="u" * 100_000),
    "a name that is no text": _changed(object={"metadata": {"name": {}}}),
    "bytes that are no UTF-8": json.dumps(VALID).encode().replace(b"ServiceAccount", b"\xff\xfe"),
    "no UTF-8 in the role annotation": json.dumps(review(SUBJECT, annotations=annotated("XX")))
    .encode()
    .replace(b"XX", b"\xc3\x28"),
    "half of a surrogate pair": json.dumps(review(SUBJECT, annotations={"a": "XX"}))
    .encode()
    .replace(b"XX", rb"\ud800"),
    "UTF-16": json.dumps(VALID).encode("utf-16"),
    "a depth that no parser survives": b"[" * 200_000 + b"]" * 200_000,
    "such a depth beside the request": b'{"apiVersion":"admission.k8s.io/v1","other":' + b'{"a":' * 200_000,
}


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED.keys())
@in_virtual_time
async def test_what_is_no_review_is_refused_in_one_plain_line(body: Any) -> None:
    reply = await _sent(body)
    assert reply.status == 400
    assert reply.text.strip()
    assert reply.text.count("\n") == 1
    assert len(reply.text) < 500


ALLOWED: dict[str, dict[str, Any]] = {
    "a pod": _changed(kind={"group": "", "version": "v1", "kind": "Pod"}),
    "a ServiceAccount of another group": _changed(
        kind={"group": "x.io", "version": "v1", "kind": "ServiceAccount"}
    ),
    "a deletion": _changed(operation="DELETE", object=None),
    "a connection": _changed(operation="CONNECT", object=None),
    "an unknown operation": _changed(operation="EXPLODE"),
    "another name": review(SUBJECT, object={"metadata": {"name": "default"}}),
    "no name yet": review(SUBJECT, name="", object={"metadata": {"generateName": "mxp-controller-"}}),
    "a name in another alphabet": review(SUBJECT, object={"metadata": {"name": "mxp-côntröller-☃"}}),
    "a namespace that is no name": _changed(namespace="../../kube-system"),
    "a namespace in another alphabet": _changed(namespace="mxp-☃-system"),
    "a namespace of control characters": _changed(namespace="mxp\r\n\x00-system"),
    "no namespace": _changed(namespace=""),
    "a namespace as long as the body": _changed(namespace="a" * 100_000),
    "unicode in annotations": review(SUBJECT, annotations={"note": "☃ \U0001f600 \u202e"}),
    "unknown members": {**_changed(nonsense=[1, 2, {}]), "more": {"a": None}},
}


@pytest.mark.parametrize("body", ALLOWED.values(), ids=ALLOWED.keys())
@in_virtual_time
async def test_what_is_not_managed_is_allowed_unchanged(body: dict[str, Any]) -> None:
    reply = await _sent(body)
    assert reply.status == 200
    assert reply.response["uid"] == UID
    assert reply.allowed
    assert reply.patch == []


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/yaml"]
)
@in_virtual_time
async def test_another_content_type_is_refused(content_type: str) -> None:
    reply = await _sent(VALID, headers={"content-type": content_type})
    assert reply.status == 415


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
@in_virtual_time
async def test_json_is_json_however_it_is_spelt(content_type: str) -> None:
    assert (await _sent(VALID, headers={"content-type": content_type})).status == 200


@in_virtual_time
async def test_five_mebibytes_are_answered() -> None:
    padding = {"note": "x" * (5 * MEBIBYTE)}
    reply = await _sent(review(SUBJECT, annotations=padding))
    assert reply.status == 200
    assert reply.allowed


@in_virtual_time
async def test_more_than_seven_mebibytes_are_refused_by_their_announcement() -> None:
    assert (await _sent(b"x" * (7 * MEBIBYTE + 1))).status == 413


@in_virtual_time
async def test_more_than_seven_mebibytes_are_refused_without_an_announcement_too() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1000:
            sent += 1
            yield b"x" * MEBIBYTE

    assert (await _sent(endless())).status == 413


@pytest.mark.parametrize("length", ["many", "-1", "1e3", "9" * 5000, ""])
@in_virtual_time
async def test_a_length_that_is_no_number_is_no_error_of_the_program(length: str) -> None:
    assert (await _sent(VALID, headers={"content-length": length})).status in {200, 400, 413}


@pytest.mark.parametrize("said", ["", "10", "-5s", "1m", "99999s", "٣s", "1.5s", "0s"])
@in_virtual_time
async def test_a_timeout_that_no_api_server_sends_is_no_error_of_the_program(said: str) -> None:
    assert (await _sent(VALID, path=f"/mutate?timeout={said}")).status == 200


@pytest.mark.parametrize("path", ["/", "/mutate/", "/mutate/more", "/docs", "/openapi.json", "/validate"])
@in_virtual_time
async def test_there_is_nothing_beside_the_one_path(path: str) -> None:
    assert (await _sent(VALID, path=path)).status in {307, 404}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
members = st.sampled_from([*VALID["request"], "nonsense"])


@examples
@given(st.binary(max_size=400))
@example(b"\x00")
@in_virtual_time
async def test_any_bytes_are_refused(body: bytes) -> None:
    assert (await _sent(body)).status == 400


@examples
@given(anything)
@in_virtual_time
async def test_any_json_is_refused(body: Any) -> None:
    assert (await _sent(body)).status == 400


@examples
@given(st.dictionaries(members, anything, max_size=3))
@in_virtual_time
async def test_any_member_of_the_request_may_be_anything(changes: dict[str, Any]) -> None:
    reply = await _sent(_changed(**changes))
    assert reply.status in {200, 400}
    if reply.status == 200:
        assert reply.response["uid"] == changes.get("uid", UID)


@examples
@given(st.dictionaries(st.sampled_from(["name", "namespace", "annotations", "deletionTimestamp"]), anything))
@in_virtual_time
async def test_any_metadata_may_be_anything(metadata: dict[str, Any]) -> None:
    assert (await _sent(_changed(object={"metadata": metadata}))).status in {200, 400}


@examples
@given(st.integers(0, len(json.dumps(VALID)) - 1), st.binary(min_size=1, max_size=3))
@in_virtual_time
async def test_a_review_with_some_damaged_bytes_is_no_error_of_the_program(place: int, bytes_: bytes) -> None:
    text = json.dumps(VALID).encode()
    assert (await _sent(text[:place] + bytes_ + text[place + len(bytes_) :])).status in {200, 400}
