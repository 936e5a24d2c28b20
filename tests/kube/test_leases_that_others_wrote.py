"""A Lease with anything in it that the API server stores is read, carried and written again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.sites import role, subject
from webhook.coordination.leases import Lease, digest
from webhook.coordination.lock import MOST_REPORTED
from webhook.kube.leases import lease_object, parse_lease
from webhook.model.errors import ClusterError
from webhook.model.names import Subject

ALL_ANNOTATIONS = 256 * 1024
"""Characters that the API server lets an object's annotations have (TotalAnnotationSizeLimitB)."""

LEASE = Lease(
    "mxp-identity-0",
    role().value,
    "a_1",
    "b_2",
    renewals=7,
    written={subject(1): 1.5},
    removed={subject(2): 3.5},
    edition=5,
    version="9",
    removals=((60.5, 3), (1.0, 2)),
    removing=(digest("two"), digest("three")),
)


def _body(**annotations: str) -> bytes:
    item: dict[str, Any] = lease_object(LEASE)
    item["metadata"]["annotations"] |= {
        f"mxp-identity/{name.replace('_', '-')}": value for name, value in annotations.items()
    }
    return json.dumps(item).encode()


def test_what_this_program_wrote_is_read_as_it_was() -> None:
    assert parse_lease(_body()) == (LEASE, [])


NOT_OURS = {
    "garbage for subjects": ("written", "\N{NULL}{]"),
    "a list for subjects": ("written", "[1, 2]"),
    "garbage for removed subjects": ("removed", "\N{NULL}{]"),
    "a pattern for a removed subject": ("removed", '{"*/*": 1}'),
    "texts for ages": ("written", '{"a/b": "now"}'),
    "a text that is no subject": ("written", '{"system:serviceaccount:a:b": 1}'),
    "a pattern": ("written", '{"*/*": 1}'),
    "an age beyond all numbers": ("written", '{"a/b": 1e999}'),
    "very deep subjects": ("written", "[" * 100_000),
    "a text for a number": ("renewals", "many"),
    "a number below zero": ("renewals", "-1"),
    "a number of 4300 digits, more than which Python does not write": ("renewals", "9" * 4300),
    "an edition that is none": ("edition", "³"),
    "a very long waiter": ("waiter", "w" * 200_000),
    "garbage for removals": ("removals", "{"),
    "removals in the future": ("removals", "[[-5, 1]]"),
    "removals that were none": ("removals", "[[5, -1]]"),
    "more removals than an hour has minutes": ("removals", json.dumps([[1, 1]] * 101)),
    "a digest of a removal": ("removing", json.dumps(digest("two"))),
    "a text that is no digest of a removal": ("removing", json.dumps([digest("two"), "b"])),
    "a digest with more at its end": ("removing", json.dumps([digest("two") + "\n"])),
    "more removals than are read": ("removing", json.dumps([digest("two")] * (MOST_REPORTED + 1))),
}


@pytest.mark.parametrize(("name", "value"), NOT_OURS.values(), ids=NOT_OURS.keys())
def test_a_part_that_is_not_ours_is_left_out_and_the_rest_holds(name: str, value: str) -> None:
    lease, left_out = parse_lease(_body(**{name: value}))
    assert left_out == [name]
    rest = {
        "renewals": 7,
        "edition": 5,
        "waiter": "b_2",
        "written": {subject(1): 1.5},
        "removed": {subject(2): 3.5},
    }
    for other in rest.keys() - {name}:
        assert getattr(lease, other) == rest[other]
    assert not getattr(lease, name)
    assert lease.holder == "a_1"


def test_one_entry_that_is_no_subject_does_not_hide_the_others() -> None:
    lease, left_out = parse_lease(_body(written='{"a/b": 2, "*/b": 1, "c/d": -3}'))
    assert lease.written == {Subject("a", "b"): 2.0, Subject("c", "d"): 0.0}
    assert left_out == ["written"]


@pytest.mark.parametrize("name", ["written", "removed"])
def test_of_thousands_of_subjects_the_newest_are_taken(name: str) -> None:
    subjects = {f"n{number}/sa": float(number) for number in range(20_000)}
    lease, left_out = parse_lease(_body(**{name: json.dumps(subjects)}))
    assert set(getattr(lease, name)) == {Subject(f"n{number}", "sa") for number in range(MOST_REPORTED)}
    assert left_out == [name]


def test_a_lease_of_an_earlier_release_names_no_removals_and_nothing_of_it_is_left_out() -> None:
    item: dict[str, Any] = lease_object(LEASE)
    del item["metadata"]["annotations"]["mxp-identity/removed"]
    assert parse_lease(json.dumps(item).encode()) == (replace(LEASE, removed={}), [])


def test_an_annotation_of_a_later_release_is_passed_over() -> None:
    assert parse_lease(_body(something="new")) == (LEASE, [])


@pytest.mark.parametrize("length", [1, 40, 253])
def test_what_is_written_has_room_in_an_object_however_long_the_names(length: int) -> None:
    written = {Subject(f"n{number}", "s" * length): 1e14 for number in range(20_000)}
    full = Lease(
        "l",
        role().value,
        "a",
        "w" * 500,
        written=written,
        removed=written,
        removals=((1.0, 1_000_000),) * 100,
        removing=(digest("two"),) * MOST_REPORTED,
    )
    annotations = lease_object(full)["metadata"]["annotations"]
    assert sum(len(key) + len(value) for key, value in annotations.items()) < ALL_ANNOTATIONS
    assert annotations["mxp-identity/written"] != "{}"
    assert annotations["mxp-identity/removed"] != "{}"


@given(
    st.dictionaries(
        st.sampled_from(["renewals", "edition", "waiter", "written", "removed", "role-arn"]), st.text()
    )
)
def test_any_text_is_read_and_can_be_written_again(annotations: dict[str, str]) -> None:
    lease, _ = parse_lease(_body(**annotations))
    json.dumps(lease_object(lease))


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b'{"metadata": {"name": 1}}', b"\xff"])
def test_an_answer_that_is_no_lease_is_an_error_of_the_api_server(body: bytes) -> None:
    with pytest.raises(ClusterError):
        parse_lease(body)
