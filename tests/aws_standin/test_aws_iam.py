"""IAM through unmodified boto3: roles and their trust policies."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from rig.aws import ACCOUNT, AwsStandIn, ManualClock, Reorder, TokenIssuer
from rig.aws.expect import refused

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

PREFIX = f"arn:aws:iam::{ACCOUNT}"


def shown(iam: "IAMClient", role: str = "backup") -> Any:
    """The role's trust policy as GetRole shows it."""
    return iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]


def subjects(count: int) -> list[str]:
    return [
        f"system:serviceaccount:mxp-{number:08x}-1111-2222-3333-444444444444-system:mxp-controller"
        for number in range(count)
    ]


def statement(**changes: object) -> str:
    """A trust policy of one statement for the account itself, changed."""
    base = {"Effect": "Allow", "Principal": {"AWS": f"{PREFIX}:root"}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [base | changes]})


def test_a_role_comes_back_as_it_was_made(iam: "IAMClient") -> None:
    made = iam.create_role(
        RoleName="backup", Path="/mxp/", AssumeRolePolicyDocument=statement(), Tags=[{"Key": "a", "Value": "b"}]
    )["Role"]

    read = iam.get_role(RoleName="backup")["Role"]

    assert made["Arn"] == read["Arn"] == f"{PREFIX}:role/mxp/backup"
    assert read["RoleId"].startswith("AROA")
    assert read["AssumeRolePolicyDocument"] == json.loads(statement())
    assert read["Tags"] == [{"Key": "a", "Value": "b"}]
    assert iam.list_roles()["Roles"][0]["AssumeRolePolicyDocument"] == json.loads(statement())


@pytest.mark.usefixtures("role")
def test_an_update_replaces_the_whole_document(iam: "IAMClient") -> None:
    iam.update_assume_role_policy(RoleName="backup", PolicyDocument=statement(Sid="New"))

    assert shown(iam) == json.loads(statement(Sid="New"))


def test_a_role_that_is_not_there(iam: "IAMClient") -> None:
    with refused("NoSuchEntity", 404, "The role with name nobody cannot be found."):
        iam.get_role(RoleName="nobody")
    with refused("NoSuchEntity", 404, "The role with name nobody cannot be found."):
        iam.update_assume_role_policy(RoleName="nobody", PolicyDocument=statement())


@pytest.mark.usefixtures("role")
def test_a_deleted_role_is_gone(iam: "IAMClient") -> None:
    iam.delete_role(RoleName="backup")

    with refused("NoSuchEntity", 404):
        iam.get_role(RoleName="backup")
    assert iam.list_roles()["Roles"] == []


def test_a_role_of_a_service_cannot_be_changed(iam: "IAMClient") -> None:
    made = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")["Role"]

    with refused("UnmodifiableEntity", 400):
        iam.update_assume_role_policy(RoleName=made["RoleName"], PolicyDocument=statement())


# Size


@pytest.mark.usefixtures("role")
def test_eighteen_subjects_fit_and_nineteen_do_not(iam: "IAMClient", keys: TokenIssuer) -> None:
    iam.update_assume_role_policy(RoleName="backup", PolicyDocument=keys.trust(*subjects(18), account=ACCOUNT))

    with refused("LimitExceeded", 409, "Cannot exceed quota for ACLSizePerRole: 2048"):
        iam.update_assume_role_policy(RoleName="backup", PolicyDocument=keys.trust(*subjects(19), account=ACCOUNT))


@pytest.mark.usefixtures("role")
def test_the_quota_may_be_filled_to_the_last_character(iam: "IAMClient") -> None:
    def document(characters: int) -> str:
        return statement(Sid="x" * (characters - len("".join(statement(Sid="").split()))))

    iam.update_assume_role_policy(RoleName="backup", PolicyDocument=document(2048))
    with refused("LimitExceeded", 409):
        iam.update_assume_role_policy(RoleName="backup", PolicyDocument=document(2049))


@pytest.mark.usefixtures("role")
def test_white_space_does_not_count(iam: "IAMClient", keys: TokenIssuer) -> None:
    document = json.dumps(json.loads(keys.trust(*subjects(18), account=ACCOUNT)), indent=8)
    assert len(document) > 2048

    iam.update_assume_role_policy(RoleName="backup", PolicyDocument=document)


@pytest.mark.parametrize(("quota", "fit"), [(4096, 42), (8192, 89)])
@pytest.mark.usefixtures("role")
def test_a_raised_quota_is_reported_and_holds(
    aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer, quota: int, fit: int
) -> None:
    aws.quota = quota

    assert iam.get_account_summary()["SummaryMap"]["AssumeRolePolicySizeQuota"] == quota
    iam.update_assume_role_policy(RoleName="backup", PolicyDocument=keys.trust(*subjects(fit), account=ACCOUNT))
    with refused("LimitExceeded", 409, f"Cannot exceed quota for ACLSizePerRole: {quota}"):
        iam.update_assume_role_policy(
            RoleName="backup", PolicyDocument=keys.trust(*subjects(fit + 1), account=ACCOUNT)
        )


def test_the_quota_holds_for_a_new_role_too(iam: "IAMClient", keys: TokenIssuer) -> None:
    with refused("LimitExceeded", 409):
        iam.create_role(RoleName="big", AssumeRolePolicyDocument=keys.trust(*subjects(19), account=ACCOUNT))
    with refused("NoSuchEntity", 404):
        iam.get_role(RoleName="big")


@pytest.mark.usefixtures("role")
def test_the_parser_reads_131072_characters(aws: AwsStandIn, iam: "IAMClient") -> None:
    aws.quota = 1_000_000
    iam.update_assume_role_policy(RoleName="backup", PolicyDocument=statement().ljust(131_072))

    with refused("ValidationError", 400):
        iam.update_assume_role_policy(RoleName="backup", PolicyDocument=statement().ljust(131_073))


@pytest.mark.usefixtures("role")
def test_a_document_holds_latin_characters_only(iam: "IAMClient") -> None:
    with refused("ValidationError", 400):
        iam.update_assume_role_policy(RoleName="backup", PolicyDocument=statement(Sid="x").replace("x", "☃"))


# Grammar, in AWS's words


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "This policy contains invalid Json"),
        ('{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}', "This policy contains invalid Json"),
        ('{"Version":"2012-10-17","Statement":[]}', "Could not parse the policy: Statement is empty!"),
        ('{"Version":"2012-10-17"}', "Missing required field Statement"),
        (statement(Resource="*"), "Has prohibited field Resource"),
        (statement(Effect="allow"), "Invalid effect: allow"),
        (statement(Action="s3:GetObject"), "AssumeRole policy may only specify STS AssumeRole actions."),
        (statement(Principal="*"), 'AssumeRolepolicy contained an invalid principal: "STAR":"*".'),
        (statement(Principal={}), "Missing required field Principal cannot be empty!"),
        (statement(Sid="a-b").replace("\\", ""), None),
        (statement(Condition={"StringMatches": {"a": "b"}}), None),
        (
            '{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}',
            "Missing required field Principal",
        ),
        (
            json.dumps({"Statement": [json.loads(statement(Sid="A"))["Statement"][0]] * 2}),
            "The Statement Ids in the policy are not unique",
        ),
        (statement(Principal={"Service": "ec2"}), 'Invalid principal in policy: "SERVICE":"ec2"'),
        (
            statement(Principal={"Federated": "arn:aws:iam::1:oidc-provider/x"}),
            "Federated principals must be valid domain names or SAML metadata ARNs",
        ),
    ],
)
@pytest.mark.usefixtures("role")
def test_a_malformed_document_is_refused_in_the_words_of_aws(
    iam: "IAMClient", document: str, message: str | None
) -> None:
    with refused("MalformedPolicyDocument", 400, message):
        iam.update_assume_role_policy(RoleName="backup", PolicyDocument=document)


# Principals that do not exist


@pytest.mark.parametrize("principal", [f"{PREFIX}:user/nobody", f"{PREFIX}:role/nobody", "AROA2XPXXXXXXXXXXXX27"])
@pytest.mark.usefixtures("role")
def test_a_principal_that_does_not_exist_is_refused(iam: "IAMClient", principal: str) -> None:
    with refused("MalformedPolicyDocument", 400, f'Invalid principal in policy: "AWS":"{principal}"'):
        iam.update_assume_role_policy(RoleName="backup", PolicyDocument=statement(Principal={"AWS": principal}))


@pytest.mark.usefixtures("role")
def test_a_deleted_user_shows_as_an_id_and_makes_every_write_fail(iam: "IAMClient") -> None:
    user = iam.create_user(UserName="alice")["User"]
    iam.update_assume_role_policy(RoleName="backup", PolicyDocument=statement(Principal={"AWS": user["Arn"]}))
    before = shown(iam)
    iam.delete_user(UserName="alice")
    after = shown(iam)

    assert before == json.loads(statement(Principal={"AWS": user["Arn"]}))
    assert after == json.loads(statement(Principal={"AWS": user["UserId"]}))
    with refused("MalformedPolicyDocument", 400, f'Invalid principal in policy: "AWS":"{user["UserId"]}"'):
        iam.update_assume_role_policy(RoleName="backup", PolicyDocument=json.dumps(after))


@pytest.mark.usefixtures("role")
def test_a_user_made_anew_is_another_principal(iam: "IAMClient") -> None:
    user = iam.create_user(UserName="alice")["User"]
    iam.update_assume_role_policy(RoleName="backup", PolicyDocument=statement(Principal={"AWS": user["Arn"]}))
    iam.delete_user(UserName="alice")
    iam.create_user(UserName="alice")

    found = shown(iam)
    assert found == json.loads(statement(Principal={"AWS": user["UserId"]}))


@pytest.mark.parametrize(
    ("arn", "prefix"),
    [
        ("arn:aws:iam::999999999999:role/theirs", "AROA"),
        ("arn:aws:iam::999999999999:user/theirs", "AIDA"),
    ],
)
@pytest.mark.usefixtures("role")
def test_a_principal_of_another_account_can_be_deleted(
    aws: AwsStandIn, iam: "IAMClient", arn: str, prefix: str
) -> None:
    document = statement(Principal={"AWS": [arn, f"{PREFIX}:root"]})
    iam.update_assume_role_policy(RoleName="backup", PolicyDocument=document)
    assert shown(iam) == json.loads(document)

    aws.delete_principal(arn)

    found = json.dumps(shown(iam))
    assert f'["{prefix}' in found
    assert arn not in found
    with refused("MalformedPolicyDocument", 400):
        iam.update_assume_role_policy(RoleName="backup", PolicyDocument=found)
    with refused("MalformedPolicyDocument", 400, f'Invalid principal in policy: "AWS":"{arn}"'):
        iam.update_assume_role_policy(RoleName="backup", PolicyDocument=document)


def test_a_role_of_the_account_can_be_deleted_from_outside(aws: AwsStandIn, iam: "IAMClient", role: str) -> None:
    document = statement(Principal={"AWS": role})
    iam.create_role(RoleName="other", AssumeRolePolicyDocument=document)

    aws.delete_principal(role)

    found = json.dumps(shown(iam, "other"))
    assert "AROA" in found
    with refused("NoSuchEntity", 404):
        iam.get_role(RoleName="backup")


# How IAM shows what it stored


@pytest.mark.usefixtures("role")
def test_a_reordered_read_means_the_same_and_is_stable(
    aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer
) -> None:
    document = keys.trust(*subjects(12), account=ACCOUNT)
    iam.update_assume_role_policy(RoleName="backup", PolicyDocument=document)

    def read() -> str:
        return json.dumps(shown(iam))

    plain = read()
    with aws.fault(Reorder(seed=1)):
        first, again = read(), read()
    with aws.fault(Reorder(seed=2)):
        other = read()

    assert json.loads(plain) == json.loads(document)
    assert first == again != other
    assert first != plain
    assert sorted(first) == sorted(other)


@pytest.mark.usefixtures("role")
def test_a_reordered_read_unwraps_lists_of_one(aws: AwsStandIn, iam: "IAMClient") -> None:
    with aws.fault(Reorder()):
        found = shown(iam)

    condition = found["Statement"]["Condition"]["StringEquals"]
    assert {type(value) for value in condition.values()} == {str}


# History


@pytest.mark.usefixtures("role")
def test_every_document_ever_written_is_kept(aws: AwsStandIn, iam: "IAMClient", clock: ManualClock) -> None:
    start = clock.now
    clock.advance(10)
    answer = iam.update_assume_role_policy(RoleName="backup", PolicyDocument=statement(Sid="Second"))
    with refused("MalformedPolicyDocument", 400):
        iam.update_assume_role_policy(RoleName="backup", PolicyDocument="{}")
    iam.delete_role(RoleName="backup")

    first, second = aws.history("backup")
    assert (first.action, first.at, second.action, second.at) == (
        "CreateRole",
        start,
        "UpdateAssumeRolePolicy",
        start + 10,
    )
    assert second.document == statement(Sid="Second")
    assert second.caller == f"{PREFIX}:root"
    assert second.request_id == answer["ResponseMetadata"]["RequestId"]
    assert aws.history("nobody") == []


# OIDC providers


def test_an_oidc_provider_knows_its_audiences(iam: "IAMClient", keys: TokenIssuer) -> None:
    made = iam.create_open_id_connect_provider(Url=keys.url, ClientIDList=["a"])
    arn = made["OpenIDConnectProviderArn"]
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="b")
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="a")

    read = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    assert arn == keys.provider_arn(ACCOUNT)
    assert (read["Url"], read["ClientIDList"]) == (keys.name, ["b"])
    iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
    with refused("NoSuchEntity", 404):
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)


def test_two_stand_ins_share_nothing(iam: "IAMClient", role: str) -> None:
    with AwsStandIn() as other:
        assert other.admin_client("iam").list_roles()["Roles"] == []
    assert [one["Arn"] for one in iam.list_roles()["Roles"]] == [role]
