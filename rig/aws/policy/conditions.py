"""Whether a statement's Condition block holds for a request.

Source: IAM user guide, reference_policies_elements_condition_operators and
reference_policies_multi-value-conditions. All entries of a block must hold (AND); the values of one entry are
ORed, or for a negated operator NORed. A key that the request lacks: ForAnyValue fails, even with IfExists (tried
on AWS: repost.aws QU9HFmDzP0QGuU-fd7rS6B7w); ForAllValues, IfExists and negated operators hold; others fail.
"""

from rig.aws.policy.document import Condition
from rig.aws.policy.operators import Operator, operator
from rig.aws.policy.patterns import Context


def holds(condition: Condition, context: Context, *, variables: bool) -> bool:
    """Whether one entry holds. `context` maps lower-case keys to the request's values, none empty.

    An operator that IAM does not have never holds; `grammar` refuses it before it gets here.
    """
    found = operator(condition.operator)
    if found is None:
        return False
    present = context.get(condition.key, ())
    if found.base == "Null":
        return ("false" if present else "true") in {value.lower() for value in condition.values}
    expansion = context if variables else None
    return _holds(found, condition.values, present, expansion)


def _holds(found: Operator, written: tuple[str, ...], present: tuple[str, ...], expansion: Context | None) -> bool:
    if not present:
        return not found.for_any and (found.for_all or found.if_exists or found.negated)

    def satisfied(value: str) -> bool:
        return any(found.compare(one, value, expansion) for one in written) is not found.negated

    if found.for_any:
        return any(satisfied(value) for value in present)
    if found.for_all or found.negated:
        return all(satisfied(value) for value in present)
    return any(satisfied(value) for value in present)
