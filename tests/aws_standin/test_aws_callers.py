"""Who may call what: access keys, sessions and their identity policies, with AWS's wording."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from rig.aws import ACCOUNT, AwsStandIn, Credentials, Deny, TokenIssuer
from rig.aws.expect import refused

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient

WEBHOOK = "system:serviceaccount:mxp-identity:webhook"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/webhook/pod-1"


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(action: str | list[str], resource: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


@pytest.fixture
def webhook(aws: AwsStandIn, iam: "IAMClient", sts: "STSClient", issuer: TokenIssuer) -> "IAMClient":
    """The client of a session of the role `webhook`, which may do nothing yet."""
    arn = iam.create_role(RoleName="webhook", AssumeRolePolicyDocument=issuer.trust(WEBHOOK, account=ACCOUNT))[
        "Role"
    ]["Arn"]
    found = sts.assume_role_with_web_identity(
        RoleArn=arn, RoleSessionName="pod-1", WebIdentityToken=issuer.token(WEBHOOK)
    )["Credentials"]
    credentials = Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
    return aws.client("iam", credentials)


def grant(iam: "IAMClient", *statements: dict[str, Any]) -> None:
    iam.put_role_policy(RoleName="webhook", PolicyName="own", PolicyDocument=policy(*statements))


def test_without_a_policy_nothing_is_allowed(webhook: "IAMClient", keys: TokenIssuer, role: str) -> None:
    assert role.endswith("role/backup")
    message = (
        f"User: {SESSION} is not authorized to perform: iam:UpdateAssumeRolePolicy on resource: role backup "
        "because no identity-based policy allows the iam:UpdateAssumeRolePolicy action"
    )

    with refused("AccessDenied", 403, message):
        webhook.update_assume_role_policy(RoleName="backup", PolicyDocument=keys.trust("x", account=ACCOUNT))


def test_a_refused_write_is_not_applied(
    aws: AwsStandIn, webhook: "IAMClient", keys: TokenIssuer, role: str
) -> None:
    with refused("AccessDenied", 403):
        webhook.update_assume_role_policy(RoleName="backup", PolicyDocument=keys.trust("x", account=ACCOUNT))

    assert role.endswith("role/backup")
    assert [write.action for write in aws.history("backup")] == ["CreateRole"]


def test_an_inline_policy_allows_what_it_names(
    aws: AwsStandIn, iam: "IAMClient", webhook: "IAMClient", keys: TokenIssuer, role: str
) -> None:
    grant(iam, allow(["iam:GetRole", "iam:UpdateAssumeRolePolicy"], role))

    webhook.get_role(RoleName="backup")
    webhook.update_assume_role_policy(RoleName="backup", PolicyDocument=keys.trust("x", account=ACCOUNT))

    assert aws.history("backup")[-1].caller == SESSION
    with refused("AccessDenied", 403):
        webhook.get_role(RoleName="webhook")
    with refused("AccessDenied", 403):
        webhook.delete_role(RoleName="backup")


def test_an_explicit_deny_wins_and_says_so(iam: "IAMClient", webhook: "IAMClient", keys: TokenIssuer) -> None:
    own = f"arn:aws:iam::{ACCOUNT}:role/webhook"
    grant(iam, allow("iam:*", "*"), {**allow("iam:UpdateAssumeRolePolicy", own), "Effect": "Deny"})

    webhook.get_role(RoleName="webhook")
    with refused(
        "AccessDenied",
        403,
        f"User: {SESSION} is not authorized to perform: iam:UpdateAssumeRolePolicy on resource: role webhook "
        "with an explicit deny in an identity-based policy",
    ):
        webhook.update_assume_role_policy(RoleName="webhook", PolicyDocument=keys.trust("x", account=ACCOUNT))


def test_the_path_of_a_role_is_part_of_what_a_policy_must_name(
    iam: "IAMClient", webhook: "IAMClient", keys: TokenIssuer
) -> None:
    arn = iam.create_role(
        RoleName="deep", Path="/mxp/", AssumeRolePolicyDocument=keys.trust("x", account=ACCOUNT)
    )["Role"]["Arn"]
    grant(iam, allow("iam:GetRole", arn.replace("/mxp/", "/")))
    with refused("AccessDenied", 403):
        webhook.get_role(RoleName="deep")

    grant(iam, allow("iam:GetRole", arn))

    webhook.get_role(RoleName="deep")


def test_a_policy_may_ask_for_a_tag_of_the_role(iam: "IAMClient", webhook: "IAMClient", role: str) -> None:
    tagged = {"StringEquals": {"aws:ResourceTag/mxp-identity": "true"}}
    grant(iam, allow("iam:GetRole", role, Condition=tagged))
    with refused("AccessDenied", 403):
        webhook.get_role(RoleName="backup")

    iam.tag_role(RoleName="backup", Tags=[{"Key": "mxp-identity", "Value": "true"}])

    webhook.get_role(RoleName="backup")


def test_a_policy_may_name_the_caller(iam: "IAMClient", webhook: "IAMClient", role: str) -> None:
    principal = {"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/webhook"}}
    grant(iam, allow("iam:GetRole", role, Condition=principal))

    webhook.get_role(RoleName="backup")


def test_an_attached_policy_counts_too(iam: "IAMClient", webhook: "IAMClient", role: str) -> None:
    made = iam.create_policy(PolicyName="managed", PolicyDocument=policy(allow("iam:GetRole", role)))
    iam.attach_role_policy(RoleName="webhook", PolicyArn=made["Policy"]["Arn"])

    webhook.get_role(RoleName="backup")


def test_actions_without_a_resource_are_asked_for_on_a_star(iam: "IAMClient", webhook: "IAMClient") -> None:
    with refused(
        "AccessDenied",
        403,
        f"User: {SESSION} is not authorized to perform: iam:GetAccountSummary on resource: * "
        "because no identity-based policy allows the iam:GetAccountSummary action",
    ):
        webhook.get_account_summary()

    grant(iam, allow("iam:GetAccountSummary", "*"))

    webhook.get_account_summary()


def test_an_oidc_provider_is_asked_for_by_its_arn(
    iam: "IAMClient", webhook: "IAMClient", issuer: TokenIssuer
) -> None:
    arn = issuer.provider_arn(ACCOUNT)
    with refused("AccessDenied", 403):
        webhook.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)

    grant(iam, allow("iam:GetOpenIDConnectProvider", arn))

    webhook.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)


def test_the_switch_for_access_denied_reads_like_a_missing_permission(
    aws: AwsStandIn, iam: "IAMClient", webhook: "IAMClient", role: str
) -> None:
    grant(iam, allow("iam:*", "*"))
    assert role.endswith("role/backup")

    with (
        aws.fault(Deny(actions=("GetRole",), caller="*:assumed-role/webhook/*")),
        refused(
            "AccessDenied",
            403,
            f"User: {SESSION} is not authorized to perform: iam:GetRole on resource: role backup "
            "because no identity-based policy allows the iam:GetRole action",
        ),
    ):
        webhook.get_role(RoleName="backup")
    webhook.get_role(RoleName="backup")


# Users and keys


def test_a_user_calls_with_an_access_key(aws: AwsStandIn, iam: "IAMClient", role: str) -> None:
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    alice = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    with refused(
        "AccessDenied",
        403,
        f"User: arn:aws:iam::{ACCOUNT}:user/alice is not authorized to perform: iam:GetRole on resource: "
        "role backup because no identity-based policy allows the iam:GetRole action",
    ):
        aws.client("iam", alice).get_role(RoleName="backup")

    iam.put_user_policy(UserName="alice", PolicyName="own", PolicyDocument=policy(allow("iam:GetRole", role)))

    aws.client("iam", alice).get_role(RoleName="backup")
    assert aws.client("sts", alice).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/alice"


def test_an_inactive_key_is_no_key(aws: AwsStandIn, iam: "IAMClient") -> None:
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    iam.update_access_key(UserName="alice", AccessKeyId=key["AccessKeyId"], Status="Inactive")

    with refused("InvalidClientTokenId", 403):
        aws.client("sts", Credentials(key["AccessKeyId"], key["SecretAccessKey"])).get_caller_identity()


def test_the_root_key_is_the_accounts(sts: "STSClient") -> None:
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_an_unknown_key(aws: AwsStandIn) -> None:
    stranger = aws.client("sts", Credentials("AKIAIOSFODNN7EXAMPLE", "secret"))

    with refused("InvalidClientTokenId", 403, "The security token included in the request is invalid."):
        stranger.get_caller_identity()


def test_a_session_key_without_its_token(aws: AwsStandIn, webhook: "IAMClient") -> None:
    key = webhook._request_signer._credentials.access_key  # type: ignore[attr-defined]  # noqa: SLF001

    with refused("InvalidClientTokenId", 403):
        aws.client("sts", Credentials(key, "secret")).get_caller_identity()


def test_an_action_that_no_policy_allows(iam: "IAMClient", sts: "STSClient") -> None:
    with refused("InvalidAction", 400):
        sts.get_session_token()
    with refused("InvalidAction", 400):
        iam.get_context_keys_for_custom_policy(PolicyInputList=["{}"])
