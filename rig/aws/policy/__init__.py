"""Our own reading of the IAM policy language: what a document says, and whether it is one at all.

Written from the IAM user guide alone, so that it and the independent evaluator behind `rig.oracle` are two
readings; tests hold them against each other. Pure: no clock, no I/O, no knowledge of the stand-in.
"""

from rig.aws.policy.document import Policy, Statement, parse
from rig.aws.policy.evaluate import Decision, Query, decide, names_service, trusts, trusts_service
from rig.aws.policy.grammar import MalformedPolicyError, check_trust_policy
from rig.aws.policy.patterns import Context

__all__ = [
    "Context",
    "Decision",
    "MalformedPolicyError",
    "Policy",
    "Query",
    "Statement",
    "check_trust_policy",
    "decide",
    "names_service",
    "parse",
    "trusts",
    "trusts_service",
]
