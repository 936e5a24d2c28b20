"""Unexpected documents: each ends as a policy that keeps what is not ours, or as InvalidPolicyError."""

import json
import math
from contextlib import suppress
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from botocore.handlers import decode_quoted_jsondoc
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.iam.policies import OWN, SUBJECTS, external_statements, hand_edited_statements, subject_sets
from webhook.cli.trust_statements import effect_of, names_in, pods_allowed_by
from webhook.cli.verify.near_misses import near_misses
from webhook.iam.amendment import amend, room
from webhook.iam.evaluation import as_list
from webhook.iam.external import effects_on_pod
from webhook.iam.statement import ACTIONS, SERVICE
from webhook.iam.trust_policy import Place, TrustPolicy
from webhook.model.errors import InvalidPolicyError
from webhook.model.names import Subject

_ENDLESS = 131072
_ELEMENTS = (
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "Condition", "sid", "New",
)  # fmt: skip
_WORDS = (
    OWN.sid, OWN.provider_arn, OWN.subject_key, OWN.audience_key, str(SUBJECTS[0]), "Allow", "Deny", "*", "sts:*",
    "Federated", "AWS", "Service", "StringEquals", "StringNotLike", "Null", "sts:AssumeRoleWithWebIdentity",
    "\ufffd", "\ud800", "\U0001f511", "\x1b[31m", "\xe9", "", SERVICE, *ACTIONS,
)  # fmt: skip

strings = st.sampled_from(_WORDS) | st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | strings
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=12,
)
statements = st.dictionaries(st.sampled_from(_ELEMENTS), anything, max_size=6)
"""Statements with anything in the place of each element."""


def _with(statement: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    return {**statement, name: value}


odd_statements = st.one_of(
    statements,
    st.builds(_with, external_statements, st.sampled_from(_ELEMENTS), anything),
    st.builds(_with, hand_edited_statements, st.sampled_from(_ELEMENTS), anything),
)
odd_documents = st.one_of(
    anything,
    st.fixed_dictionaries(
        {"Statement": anything | odd_statements | st.lists(odd_statements | anything, max_size=3)},
        optional={"Version": anything, "Id": anything, "Other": anything},
    ),
    st.lists(odd_statements | external_statements, max_size=4).map(lambda members: {"Statement": members}),
)


def _external(document: dict[str, Any]) -> list[str]:
    return [json.dumps(one) for one in as_list(document.get("Statement", [])) if one.get("Sid") != OWN.sid]


@settings(max_examples=300)
@given(odd_documents, subject_sets)
def test_any_document_is_amended_without_a_change_of_what_is_not_ours_or_refused(
    document: object, asked: frozenset[Subject]
) -> None:
    with suppress(InvalidPolicyError):
        policy = TrustPolicy.parse(document)
        amended = amend(policy, OWN, frozenset(), sorted(asked), _ENDLESS).policy
        text = amended.text()
        text.encode()
        written = json.loads(text)
        assert _external(written) == _external(policy.document)
        assert {**written, "Statement": 0} == {**policy.document, "Statement": 0}
        assert amended.subjects(OWN) <= policy.subjects(OWN) | asked


@settings(max_examples=150)
@given(odd_documents, st.sampled_from(SUBJECTS))
def test_every_question_about_any_document_has_an_answer(document: object, subject: Subject) -> None:
    with suppress(InvalidPolicyError):
        policy = TrustPolicy.parse(document)
        effects = policy.effects_on(OWN, subject)
        for place in (
            effects.denial,
            effects.possible_denial,
            effects.grant,
            effects_on_pod(policy, {}).denial,
            effects_on_pod(policy, {}).possible_denial,
            effects_on_pod(policy, {}).grant,
            *(place for place, _ in policy.dangling_principals()),
        ):
            assert place is None or str(place).isprintable()
        near_misses(policy, OWN, subject)
        room(policy, OWN, _ENDLESS)
        for statement in policy.statements:
            said = [effect_of(statement), pods_allowed_by(statement), *names_in(statement)]
            assert all(words.isprintable() for words in said)


def test_a_place_is_printable_and_short_whatever_the_sid_is() -> None:
    assert str(Place(2, "\x1b[31mred")) == "statement 3 (Sid \\x1b[31mred)"
    assert len(str(Place(0, "x" * 100_000))) < 500


def _deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


PLAIN = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a Sid that is a list": ({**PLAIN, "Sid": [OWN.sid]}, "statement 3 of the trust policy has a Sid that is not"),
    "an Effect that is a list": (
        {**PLAIN, "Effect": ["Deny"]},
        "statement 3 of the trust policy has an Effect that is not",
    ),
    "a Sid that is null": ({**PLAIN, "Sid": None}, "statement 3 of the trust policy has a Sid that is not"),
    "a Sid that is an object": ({**PLAIN, "Sid": {}}, "statement 3 of the trust policy has a Sid that is not"),
    "the replacement character in a value": (
        {**PLAIN, "Sid": "Here", "Condition": {"StringEquals": {"sts:ExternalId": ["a", "caf\ufffd"]}}},
        "statement 3 (Sid Here) of the trust policy holds U+FFFD",
    ),
    "the replacement character in a key": (
        {**PLAIN, "Condition": {"StringEquals": {"aws:RequestTag/\ufffd": "a"}}},
        "statement 3 of the trust policy holds U+FFFD",
    ),
    "half of a surrogate pair": (
        {**PLAIN, "Sid": "\ud83d"},
        "statement 3 (Sid \\ud83d) of the trust policy holds",
    ),
    "infinity": ({**PLAIN, "Condition": {"NumericEquals": {"x": math.inf}}}, "a number that cannot be kept"),
    "no number": ({**PLAIN, "Condition": {"NumericEquals": {"x": math.nan}}}, "a number that cannot be kept"),
    "many digits": ({**PLAIN, "Condition": {"NumericEquals": {"x": 0.1 + 0.2}}}, "a number that cannot be kept"),
    "depth": ({**PLAIN, "Condition": _deep(20)}, "statement 3 of the trust policy is nested more than"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_not_be_written_back_is_refused_with_its_place(name: str) -> None:
    statement, why = REFUSED[name]
    with pytest.raises(InvalidPolicyError) as refusal:
        TrustPolicy.parse({"Statement": [PLAIN, PLAIN, statement]})
    assert why in str(refusal.value)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("frame", [{"Id": "\ufffd"}, {"Version": [math.nan]}, {"Id": _deep(20)}], ids=str)
def test_what_stands_beside_the_statements_is_refused_for_the_same_reasons(frame: dict[str, Any]) -> None:
    with pytest.raises(InvalidPolicyError, match=r"^the trust policy "):
        TrustPolicy.parse({**frame, "Statement": [PLAIN]})


@pytest.mark.parametrize(
    "text",
    ["", "{", "<!DOCTYPE html>", '{"Statement": [}', "[" * 900, '"x"', "9" * 5000, '{"Statement": "\\ud8"}'],
)
def test_a_body_that_the_sdk_could_not_decode_is_refused(text: str) -> None:
    with pytest.raises(InvalidPolicyError, match="is not a JSON object"):
        TrustPolicy.parse(decode_quoted_jsondoc(quote(text)))


_numbers = st.one_of(
    st.integers(-(10**30), 10**30).map(str),
    st.sampled_from(["1.0", "1", "-0.0", "1e2", "1E400", "0.30000000000000004", "3.25", "123456789012345678.5"]),
)
_escapes = st.sampled_from(
    ['"\\u4e2d"', '"\\ud83d\\udd11"', '"\\u00e9"', '"\xe9"', '"\\/"', '"\\u0041"', '"\\ufffd"', '"\\ud800"']
)


@settings(max_examples=200)
@given(st.lists(_numbers | _escapes, min_size=1, max_size=3))
def test_numbers_and_escapes_mean_the_same_after_a_write_and_are_characters_that_iam_takes(
    literals: list[str],
) -> None:
    condition = f'{{"NumericEquals": {{"x": [{", ".join(literals)}]}}}}'
    stored = f'{{"Statement": [{{"Effect": "Deny", "Condition": {condition}}}]}}'
    with suppress(InvalidPolicyError):
        policy = TrustPolicy.parse(decode_quoted_jsondoc(quote(stored)))
        text = amend(policy, OWN, frozenset(), [SUBJECTS[0]], _ENDLESS).policy.text()
        kept, was = (json.loads(one, parse_float=Decimal)["Statement"][0] for one in (text, stored))
        assert [(type(one), one) for one in _values(kept)] == [(type(one), one) for one in _values(was)]
        assert all(char <= "\xff" for char in text)


def _values(statement: dict[str, Any]) -> list[Any]:
    return list(statement["Condition"]["NumericEquals"]["x"])


def test_as_many_characters_as_iam_reads_are_no_matter() -> None:
    names = [f"system:serviceaccount:mxp-{number}-system:mxp-controller" for number in range(2400)]
    edited = OWN.render([SUBJECTS[0]])
    edited["Condition"]["StringEquals"][OWN.subject_key] = names
    policy = TrustPolicy.parse({"Statement": [PLAIN, edited, {**PLAIN, "Action": ["sts:*" + "*?" * 2000] * 3}]})
    assert policy.size() > 130_000
    amendment = amend(policy, OWN, frozenset(), [SUBJECTS[0]], 200_000)
    assert len(amendment.policy.subjects(OWN)) == len(names) + 1
