"""Namespaces, labels and bindings, generated from so few names that they meet often."""

from hypothesis import strategies as st

from webhook.model.bindings import Binding, ExistingAnnotation, Mode
from webhook.model.names import RoleArn
from webhook.model.selectors import NamePattern, NamespaceSelector, Operator, Requirement

KEYS = ("tier", "internal.spaces.upbound.io/controlplane-name")
VALUES = ("", "gold", "silver")

ROLES = tuple(RoleArn(f"arn:aws:iam::123456789012:role/{name}") for name in ("one", "two", "three", "path/four"))

namespace_names = st.from_regex(r"\A(mxp-)?[ab]{0,3}(-system)?\Z").filter(
    lambda name: name.strip("-") == name != ""
)
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))

_values = st.frozensets(st.sampled_from(VALUES), min_size=1)
requirements = st.builds(
    Requirement, st.sampled_from(KEYS), st.sampled_from([Operator.IN, Operator.NOT_IN]), _values
) | st.builds(Requirement, st.sampled_from(KEYS), st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST]))

patterns = st.builds(
    NamePattern,
    st.from_regex(r"\A(mxp-|\*){0,2}[ab*]{0,4}(-system|\*)?\Z").filter(lambda text: text.strip("-") == text != ""),
)

selectors = (
    st.tuples(st.lists(requirements, max_size=3).map(tuple), st.none() | patterns)
    .filter(any)
    .map(lambda parts: NamespaceSelector(*parts))
)

bindings = st.builds(
    Binding,
    name=st.sampled_from(["backup", "gold"]),
    service_account=st.sampled_from(["mxp-controller", "default"]),
    namespaces=selectors,
    mode=st.sampled_from(Mode),
    roles=st.lists(st.sampled_from(ROLES), min_size=1, unique=True).map(tuple),
    existing_annotation=st.sampled_from(ExistingAnnotation),
)
