"""AWS's words for a denial are understood, in every form of its documentation."""

import pytest

from webhook.cli.verify.bucket.access_denied import Denial, PolicyKind, read_denial

USER = "User: arn:aws:sts::123456789012:assumed-role/mxp-backup/verify is not authorized to perform:"
OBJECT = "arn:aws:s3:::my-backups/prod/team/orders/mxp-identity-verify-1"
KEY = "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

GET, PUT = "s3:GetObject", "s3:PutObject"
PUT_IT, GET_IT = (f'{USER} {action} on resource: "{OBJECT}"' for action in (PUT, GET))
WITH_KEY = f"{USER} kms:GenerateDataKey on resource: {KEY}"
ORGANIZATION = "arn:aws:organizations::777788889999:policy/o-1/service_control_policy/p-1"
MANAGED = "arn:aws:iam::123456789012:policy/some"
NO_KEY = "because no resource-based policy allows the kms:GenerateDataKey action"

SAID: dict[str, tuple[str, str, PolicyKind | None, bool]] = {
    f"{PUT_IT} because no identity-based policy allows the s3:PutObject action": (
        PUT,
        OBJECT,
        PolicyKind.IDENTITY,
        False,
    ),
    f"{WITH_KEY} {NO_KEY}": ("kms:GenerateDataKey", KEY, PolicyKind.RESOURCE, False),
    f"{GET_IT} with an explicit deny in a resource-based policy": (GET, OBJECT, PolicyKind.RESOURCE, True),
    f"{USER} {GET} because no VPC endpoint policy allows the s3:GetObject action": (
        GET,
        "",
        PolicyKind.ENDPOINT,
        False,
    ),
    f"{GET_IT} with\nan explicit deny in a VPC endpoint policy": (GET, OBJECT, PolicyKind.ENDPOINT, True),
    f"{GET_IT}\nbecause no permissions boundary allows the {GET} action": (
        GET,
        OBJECT,
        PolicyKind.BOUNDARY,
        False,
    ),
    f"{USER} {GET} because no session policy allows the {GET} action": (GET, "", PolicyKind.SESSION, False),
    f"{USER} {GET} with an explicit deny in a service control policy: {ORGANIZATION}": (
        GET,
        "",
        PolicyKind.SERVICE_CONTROL,
        True,
    ),
    f"{GET_IT} with an explicit deny in a resource control policy": (
        GET,
        OBJECT,
        PolicyKind.RESOURCE_CONTROL,
        True,
    ),
    f"{USER} {GET} with an explicit deny in an identity-based policy, with policy ARN: {MANAGED}": (
        GET,
        "",
        PolicyKind.IDENTITY,
        True,
    ),
    "Access Denied": ("", "", None, False),
    "": ("", "", None, False),
}


@pytest.mark.parametrize("said", SAID)
def test_a_denial_is_understood_as_far_as_aws_explains_it(said: str) -> None:
    assert read_denial(said) == Denial(" ".join(said.split()), *SAID[said])


def test_every_kind_of_policy_is_known_in_both_forms() -> None:
    for kind in PolicyKind:
        denied = read_denial(f"{USER} s3:PutObject with an explicit deny in a {kind}")
        not_allowed = read_denial(f"{USER} s3:PutObject because no {kind} allows the s3:PutObject action")
        assert (denied.kind, denied.explicit) == (kind, True)
        assert (not_allowed.kind, not_allowed.explicit) == (kind, False)
