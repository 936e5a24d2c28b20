"""The documents say what the tests run with."""

import json
import re
from pathlib import Path

from rig.permissions import iam_policy, pod_identity_policy

INSTALL = Path(__file__).parents[2] / "docs" / "run" / "install.md"
ACCOUNT = "arn:aws:iam::123456789012"
ISSUER = "oidc.eks.us-west-2.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"


def test_the_documented_iam_policies_are_those_that_every_test_runs_with() -> None:
    policy, for_pods = map(json.loads, re.findall(r"```json\n(.*?)```", INSTALL.read_text(), re.DOTALL))
    own, role = f"{ACCOUNT}:role/mxp-identity-webhook", f"{ACCOUNT}:role/mxp-backup"
    assert policy == iam_policy([role], f"{ACCOUNT}:oidc-provider/{ISSUER}", own)
    assert for_pods == pod_identity_policy([role], "arn:aws:eks:us-west-2:123456789012:cluster/spaces-prod")
