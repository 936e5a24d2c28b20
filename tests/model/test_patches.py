"""The patch that annotates, applied by RFC 6902 as the API server applies it."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.model.names import ROLE_ARN_ANNOTATION
from webhook.model.patches import Patch, annotation_patch


def _applied(patch: Patch, document: dict[str, Any]) -> dict[str, Any]:
    """RFC 6902's `add` on objects: the parent must exist, the member may."""
    result = copy.deepcopy(document)
    for operation in patch:
        assert operation.keys() == {"op", "path", "value"}
        assert operation["op"] == "add"
        root, *parents, member = [
            token.replace("~1", "/").replace("~0", "~") for token in operation["path"].split("/")
        ]
        assert root == ""
        target = result
        for parent in parents:
            target = target[parent]
        assert isinstance(target, dict)
        target[member] = operation["value"]
    return result


keys = st.sampled_from([ROLE_ARN_ANNOTATION, "plain", "a~b", "a/b", "~1", "~0", "/", "~", "a~1b/c~0d"]) | st.text()
annotation_maps = st.none() | st.dictionaries(keys, st.text(max_size=5), max_size=4)


def _account(annotations: dict[str, str] | None, *, null: bool = False) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "mxp-controller", "labels": {"a": "b"}}
    if annotations is not None or null:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "secrets": [{"name": "x"}]}


@given(annotation_maps, keys, st.text(max_size=5), st.booleans())
def test_the_annotation_is_set_and_everything_else_is_as_it_was(
    annotations: dict[str, str] | None,
    key: str,
    value: str,
    null: bool,  # noqa: FBT001
) -> None:
    before = _account(annotations, null=null)
    after = _applied(annotation_patch(annotations, key, value), before)
    assert after["metadata"]["annotations"] == {**(annotations or {}), key: value}
    assert {**after["metadata"], "annotations": None} == {**before["metadata"], "annotations": None}
    assert after["secrets"] == before["secrets"]


@given(annotation_maps, keys, st.text(max_size=5))
def test_applying_the_patch_twice_is_applying_it_once(
    annotations: dict[str, str] | None, key: str, value: str
) -> None:
    patch = annotation_patch(annotations, key, value)
    once = _applied(patch, _account(annotations))
    assert _applied(patch, once) == once


@given(annotation_maps, keys, st.text(max_size=5))
def test_an_annotation_that_says_so_already_needs_no_patch(
    annotations: dict[str, str] | None, key: str, value: str
) -> None:
    annotated = _applied(annotation_patch(annotations, key, value), _account(annotations))
    assert annotation_patch(annotated["metadata"]["annotations"], key, value) == []


@pytest.mark.parametrize(
    ("annotations", "path", "value"),
    [
        (None, "/metadata/annotations", {ROLE_ARN_ANNOTATION: "arn"}),
        ({}, "/metadata/annotations/eks.amazonaws.com~1role-arn", "arn"),
        ({"a": "b"}, "/metadata/annotations/eks.amazonaws.com~1role-arn", "arn"),
        ({ROLE_ARN_ANNOTATION: "other"}, "/metadata/annotations/eks.amazonaws.com~1role-arn", "arn"),
    ],
    ids=["none", "empty", "others", "another role"],
)
def test_the_patch_is_as_short_as_can_be(annotations: dict[str, str] | None, path: str, value: object) -> None:
    patch = annotation_patch(annotations, ROLE_ARN_ANNOTATION, "arn")
    assert patch == [{"op": "add", "path": path, "value": value}]
