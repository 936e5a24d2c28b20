"""Trust policies as they are found in the wild: every form that IAM accepts and the evaluator can judge."""

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from webhook.iam.statement import ASSUME_WITH_TOKEN, OwnStatement
from webhook.model.names import AUDIENCE, IssuerUrl, RoleArn, Subject

Document = dict[str, Any]

ROLE = RoleArn("arn:aws:iam::123456789012:role/mxp-backup")
ISSUER = IssuerUrl(f"https://oidc.eks.us-west-2.amazonaws.com/id/{'A1' * 16}")
OTHER_ISSUER = IssuerUrl(f"https://oidc.eks.eu-west-1.amazonaws.com/id/{'B2' * 16}")
OWN = OwnStatement.for_role(ROLE, ISSUER, "mxp-identity")
OTHER_CLUSTER = OwnStatement.for_role(ROLE, OTHER_ISSUER, "mxp-identity")
OTHER_INSTALLATION = OwnStatement.for_role(ROLE, ISSUER, "mxp-identity-canary")

# Near each other on purpose: one is the beginning of another, two share a namespace, two a ServiceAccount.
SUBJECTS = (
    Subject("mxp-a-system", "mxp-controller"),
    Subject("mxp-ab-system", "mxp-controller"),
    Subject("mxp-b-system", "mxp-controller"),
    Subject("mxp-a-system", "default"),
    Subject("mxp-a-system", "mxp-controller2"),
    Subject("kube-system", "default"),
)

_PATTERNS = (
    "*",
    "system:serviceaccount:*",
    "system:serviceaccount:mxp-*-system:mxp-controller",
    "system:serviceaccount:mxp-?-system:*",
    "system:serviceaccount:mxp-a*:mxp-controller?",
    "system:serviceaccount:*:default",
    "mxp-controller",
)
_OPERATORS = (
    "StringEquals",
    "StringNotEquals",
    "StringEqualsIgnoreCase",
    "StringNotEqualsIgnoreCase",
    "StringLike",
    "StringNotLike",
)
_PRINCIPALS: tuple[Mapping[str, Any], ...] = (
    {"Federated": OWN.provider_arn},
    {"Federated": OTHER_CLUSTER.provider_arn},
    {"Federated": [OTHER_CLUSTER.provider_arn, OWN.provider_arn]},
    {"Federated": ISSUER.provider_arn("aws", "210987654321")},
    {"AWS": "arn:aws:iam::210987654321:root", "Federated": OWN.provider_arn},
    {"AWS": ["arn:aws:iam::210987654321:root", "123456789012"]},
    {"AWS": "AROAEXAMPLEEXAMPLE123"},
    {"Service": "pods.eks.amazonaws.com"},
)
_ACTIONS: tuple[Mapping[str, Any], ...] = (
    {"Action": ASSUME_WITH_TOKEN},
    {"Action": [ASSUME_WITH_TOKEN]},
    {"Action": "sts:*"},
    {"Action": ["sts:TagSession", "sts:assumerole*"]},
    {"Action": ["sts:AssumeRole", "sts:TagSession"]},
    {"NotAction": "sts:AssumeRole"},
    {"NotAction": ["sts:AssumeRole", ASSUME_WITH_TOKEN]},
)

subjects = st.sampled_from(SUBJECTS)
subject_sets = st.frozensets(subjects)
askings = st.lists(subjects, max_size=8)


def shuffled(value: Any) -> st.SearchStrategy[Any]:
    """The same value with the keys of its objects in any order."""
    if isinstance(value, dict):
        return st.permutations(list(value)).flatmap(
            lambda keys: st.fixed_dictionaries({key: shuffled(value[key]) for key in keys})
        )
    if isinstance(value, list):
        return st.tuples(*map(shuffled, value)).map(list)
    return st.just(value)


_MEMBER = "a member of a list"


def as_stored(value: Any, key: str = "") -> st.SearchStrategy[Any]:
    """The value as IAM may answer it: keys and elements in any order, a lone scalar or statement unwrapped."""
    if isinstance(value, dict):
        return st.permutations(list(value)).flatmap(
            lambda keys: st.fixed_dictionaries({key: as_stored(value[key], key) for key in keys})
        )
    if isinstance(value, list):
        is_scalar = len(value) == 1 and not isinstance(value[0], dict | list)
        may_unwrap = key != _MEMBER and (is_scalar or (key == "Statement" and len(value) == 1))
        return st.tuples(*(as_stored(member, _MEMBER) for member in value)).flatmap(
            lambda members: st.permutations(members).flatmap(
                lambda order: st.sampled_from([order, *order]) if may_unwrap else st.just(order)
            )
        )
    return st.just(value)


def _scalar_or_list(members: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return members | st.lists(members, max_size=4)


def _keyed(key: str) -> st.SearchStrategy[str]:
    return st.sampled_from([key, key, key.upper(), key.title()])


def _operators() -> st.SearchStrategy[str]:
    prefixes = st.sampled_from(["", "", "", "ForAnyValue:", "ForAllValues:"])
    endings = st.sampled_from(["", "", "", "IfExists"])
    return st.builds(lambda prefix, name, end: prefix + name + end, prefixes, st.sampled_from(_OPERATORS), endings)


def _blocks() -> st.SearchStrategy[dict[str, Any]]:
    about_subjects = _scalar_or_list(st.sampled_from([*map(str, SUBJECTS), *_PATTERNS]))
    about_audience = _scalar_or_list(st.sampled_from([AUDIENCE, "*.amazonaws.com", "sigstore"]))
    ours = st.tuples(_keyed(OWN.subject_key), about_subjects) | st.tuples(_keyed(OWN.audience_key), about_audience)
    # The oracle's token has no such claim, and what a key that is absent means differs between operators.
    return st.lists(ours, max_size=3).map(dict)


conditions = st.dictionaries(_operators(), _blocks(), max_size=3)
deciding_conditions = st.builds(
    lambda operator, values: {operator: {OWN.subject_key: values}},
    st.sampled_from(_OPERATORS),
    _scalar_or_list(st.sampled_from([str(SUBJECTS[0]), *_PATTERNS])),
)
"""One operator about the subject alone: nothing else in the statement hides what it means."""


def _statements(effect: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    optional = st.fixed_dictionaries({}, optional={"Condition": conditions | deciding_conditions})
    return st.builds(
        lambda effect, principal, action, rest: {"Effect": effect, "Principal": dict(principal), **action, **rest},
        effect,
        st.sampled_from([*_PRINCIPALS, _PRINCIPALS[0]]),
        st.sampled_from([*_ACTIONS, _ACTIONS[0]]),
        optional,
    ).flatmap(shuffled)


external_statements = _statements(st.sampled_from(["Allow", "Allow", "Deny"]))
allowing_statements = _statements(st.just("Allow"))


_frames = st.fixed_dictionaries(
    {}, optional={"Version": st.sampled_from(["2008-10-17", "2012-10-17"]), "Id": st.just("made by hand")}
)


@st.composite
def documents(
    draw: st.DrawFn,
    statements: st.SearchStrategy[Document],
    own: st.SearchStrategy[list[Document]] | None = None,
) -> Document:
    """Whole documents of these statements, with those that `own` gives at any place among them."""
    members = [
        {"Sid": f"External{index}", **statement} if index % 2 else statement
        for index, statement in enumerate(draw(st.lists(statements, max_size=4)))
    ]
    place = draw(st.integers(0, len(members)))
    members[place:place] = draw(own) if own is not None else []
    scalar = len(members) == 1 and draw(st.booleans())
    statement = {"Statement": members[0] if scalar else members}
    rest = draw(_frames)
    return {**statement, **rest} if draw(st.booleans()) else {**rest, **statement}


def _ours(own: OwnStatement) -> st.SearchStrategy[list[Document]]:
    names = subjects.map(lambda lone: frozenset([lone])) | st.frozensets(subjects, min_size=1)
    return st.just([]) | names.flatmap(lambda named: as_stored(own.render(named))).map(lambda one: [one])


external_documents = documents(external_statements)
"""Documents without a statement of ours."""

stored_documents = documents(external_statements, _ours(OWN))
"""Documents with a statement of ours as we write it and IAM stores it, or without."""

shared_documents = documents(
    external_statements,
    st.builds(
        lambda *lists: [statement for members in lists for statement in members],
        _ours(OWN),
        _ours(OTHER_CLUSTER),
        _ours(OTHER_INSTALLATION),
    ),
)
"""Documents that other clusters and installations of ours write to as well."""

Edit = Callable[[Document], Document]
_EDITS: tuple[Edit, ...] = (
    lambda ours: {**ours, "Effect": "Deny"},
    lambda ours: {key: value for key, value in ours.items() if key != "Condition"},
    lambda ours: {**ours, "Condition": {}},
    lambda ours: {**ours, "Condition": {"StringLike": ours["Condition"]["StringEquals"]}},
    lambda ours: {**ours, "Condition": {"StringEquals": {OWN.audience_key: AUDIENCE}}},
    lambda ours: _edited(ours, OWN.subject_key, [str(SUBJECTS[0]), "system:serviceaccount:*:*", "", "nobody"]),
    lambda ours: _edited(ours, OWN.subject_key, []),
    lambda ours: _edited(ours, OWN.subject_key.upper(), str(SUBJECTS[5])),
    lambda ours: _edited(ours, OWN.audience_key, "sigstore"),
    lambda ours: {**ours, "Principal": {"Federated": OTHER_CLUSTER.provider_arn}},
    lambda ours: {**ours, "Principal": {"AWS": "arn:aws:iam::210987654321:root"}},
    lambda ours: {**ours, "Action": "sts:*"},
    lambda ours: {**ours, "Action": "sts:AssumeRole"},
    lambda ours: {**{name: ours[name] for name in ours if name != "Action"}, "NotAction": "sts:AssumeRole"},
    lambda ours: {**{name: ours[name] for name in ours if name != "Principal"}, "NotPrincipal": {"AWS": "*"}},
    lambda ours: {**ours, "Condition": [ours["Condition"]]},
    lambda ours: _edited(ours, OWN.subject_key, [ours["Condition"]["StringEquals"][OWN.subject_key]]),
    lambda ours: _edited(ours, OWN.subject_key, [[str(SUBJECTS[2])], {"x": str(SUBJECTS[3])}, 5, None, True]),
    lambda ours: _edited(ours, OWN.subject_key, {"StringLike": "*"}),
    lambda ours: {**ours, "Condition": {**ours["Condition"], "Null": {OWN.subject_key: "true"}}},
    lambda ours: {**ours, "Condition": {**ours["Condition"], "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
)


def _edited(ours: Document, key: str, values: Any) -> Document:
    return {**ours, "Condition": {"StringEquals": {**ours["Condition"]["StringEquals"], key: values}}}


hand_edited_statements = st.builds(
    lambda named, edit: edit(OWN.render(named)), st.frozensets(subjects, min_size=1), st.sampled_from(_EDITS)
)
hand_edited_documents = documents(external_statements, hand_edited_statements.map(lambda one: [one]))
"""Documents in which our statement was changed externally."""
