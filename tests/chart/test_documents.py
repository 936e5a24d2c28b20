"""The documents say what the tests run with."""

import json
import re
from pathlib import Path

from rig.permissions import iam_policy

INSTALL = Path(__file__).parents[2] / "docs" / "run" / "install.md"
ACCOUNT = "arn:aws:iam::123456789012"
ISSUER = "oidc.eks.us-west-2.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"


def test_the_documented_iam_policy_is_the_one_that_every_test_runs_with() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", INSTALL.read_text(), re.DOTALL)
    own = f"{ACCOUNT}:role/mxp-identity-webhook"
    assert json.loads(block) == iam_policy(
        [f"{ACCOUNT}:role/mxp-backup"], f"{ACCOUNT}:oidc-provider/{ISSUER}", own
    )
