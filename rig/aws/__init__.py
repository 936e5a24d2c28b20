"""The AWS stand-in: one HTTP server that unmodified SDKs and the awscli talk to as if it were IAM, STS and EKS.

It holds one account, evaluates trust policies, token signatures and the callers' own policies, has Pod Identity
associations, keeps every trust policy ever written, and can be made late, slow, forgetful or broken in the ways
AWS can be. It knows nothing of the program it is used to test.
"""

from rig.aws.associations import Association
from rig.aws.callers import Credentials
from rig.aws.calls import CallRecord
from rig.aws.clock import ManualClock
from rig.aws.faults import (
    Deny,
    FailAfterwards,
    Fault,
    Hang,
    Latency,
    LoseAnswer,
    Refuse,
    Reorder,
    Stale,
    Throttle,
)
from rig.aws.issuer import AUDIENCE, TokenIssuer
from rig.aws.remote import RemoteStandIn, launch
from rig.aws.standin import ACCOUNT, REGION, AwsStandIn
from rig.aws.switchboard import Switch
from rig.aws.trust import Write
from rig.aws.violations import Violation

__all__ = [
    "ACCOUNT",
    "AUDIENCE",
    "REGION",
    "Association",
    "AwsStandIn",
    "CallRecord",
    "Credentials",
    "Deny",
    "FailAfterwards",
    "Fault",
    "Hang",
    "Latency",
    "LoseAnswer",
    "ManualClock",
    "Refuse",
    "RemoteStandIn",
    "Reorder",
    "Stale",
    "Switch",
    "Throttle",
    "TokenIssuer",
    "Violation",
    "Write",
    "launch",
]
