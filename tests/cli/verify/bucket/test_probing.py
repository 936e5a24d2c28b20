"""The probe of a bucket, against the stand-in's S3: it touches no other object, and leaves none."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rig.aws import ACCOUNT, AwsStandIn, TokenIssuer
from rig.aws.faults import FailAfterwards, Hang, LoseAnswer
from tests.support.variants import variants
from webhook.aws.calls import AwsCalls
from webhook.aws.sessions import by_token
from webhook.cli.verify.bucket.denials import Tried, findings_of
from webhook.cli.verify.bucket.probing import NAME, Place, Probed, probe
from webhook.cli.verify.findings import Finding, Level
from webhook.model.names import RoleArn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rig.aws.buckets import Bucket

ROLE = RoleArn(f"arn:aws:iam::{ACCOUNT}:role/mxp-backup")
SUBJECT = "system:serviceaccount:mxp-1-system:mxp-controller"
PLACE = Place("my-backups", "us-west-2", "prod/team/orders/")
ALL = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")
THERE = {"prod/team/orders/backup": b"kept", "prod/team/payments/backup": b"kept too"}


@pytest.fixture(scope="module")
def issuer() -> TokenIssuer:
    return TokenIssuer("https://oidc.eks.us-west-2.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF")


@pytest.fixture
def aws(issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsStandIn]:
    with AwsStandIn() as running:
        iam = running.admin_client("iam")
        running.add_issuer(issuer.url, issuer.jwks)
        iam.create_open_id_connect_provider(Url=issuer.url, ClientIDList=["sts.amazonaws.com"])
        trust = issuer.trust(SUBJECT, account=ACCOUNT)
        iam.create_role(RoleName=ROLE.name, AssumeRolePolicyDocument=trust)
        running.bucket("my-backups").objects.update(THERE)
        allow(running, ALL)
        for name, value in running.environment(base={}).items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def bucket(aws: AwsStandIn) -> Bucket:
    return aws.bucket("my-backups")


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(aws: AwsStandIn, actions: Sequence[str], resource: str = "arn:aws:s3:::my-*") -> None:
    """Have the role allow these actions alone."""
    document = policy({"Effect": "Allow", "Action": list(actions), "Resource": resource})
    aws.admin_client("iam").put_role_policy(RoleName=ROLE.name, PolicyName="s3", PolicyDocument=document)


def tried(issuer: TokenIssuer, place: Place = PLACE) -> tuple[Probed, list[Finding]]:
    """What a probe came to, and its findings."""

    async def work() -> tuple[Probed, list[Finding]]:
        calls = AwsCalls()
        try:
            keys = await by_token(calls, ROLE, issuer.token(SUBJECT), "mxp-identity-verify")
            probed = await probe(calls, place, keys)
            found = [one async for one in findings_of(probed, Tried(calls, ROLE, place, "prod/"))]
            return probed, found
        finally:
            calls.close()

    return asyncio.run(work())


def run_awscli(aws: AwsStandIn, command: str, folder: Path) -> None:
    """Run a command of the AWS command line as it is printed, as the account's administrator."""
    assert command.startswith("aws ")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    base = {"PATH": path, "HOME": str(folder), "AWS_PAGER": ""}
    done = subprocess.run(
        ["bash", "-c", command], env=aws.environment(base=base), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def as_a_stranger(aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the person who calls hold no right."""
    iam = aws.admin_client("iam")
    iam.create_user(UserName="stranger")
    key = iam.create_access_key(UserName="stranger")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])


def test_with_all_rights_an_object_is_written_read_and_removed_below_the_prefix(
    aws: AwsStandIn, bucket: Bucket, issuer: TokenIssuer
) -> None:
    bucket.versioned = True
    (finding,) = tried(issuer)[1]
    assert finding.level is Level.OK
    assert bucket.objects == THERE
    keys = {key for key, _ in bucket.versions}
    assert len(keys) == 1, "only one object is touched"
    assert keys.pop().startswith(f"{PLACE.prefix}{NAME}")
    assert [is_marker for _, is_marker in bucket.versions] == [True, False, True]
    actions = [record.action for record in aws.log if record.service == "s3"]
    assert actions == ["HeadBucket", "ListObjectsV2", "DeleteObject", "PutObject", "GetObject", "DeleteObject"]


def test_each_probe_has_a_name_that_nothing_else_can_have(bucket: Bucket, issuer: TokenIssuer) -> None:
    bucket.versioned = True
    for _ in range(3):
        tried(issuer)
    names = {key.removeprefix(f"{PLACE.prefix}{NAME}") for key, _ in bucket.versions}
    assert len(names) == 3
    assert all(len(name) == 32 for name in names)


@pytest.mark.parametrize("action", ALL)
def test_a_denial_has_awss_words_and_the_kind_of_policy(
    aws: AwsStandIn, bucket: Bucket, issuer: TokenIssuer, action: str
) -> None:
    allow(aws, [one for one in ALL if one != action])
    (finding,) = tried(issuer)[1]
    assert finding.level is Level.BROKEN
    assert finding.message.startswith(
        f"the identity-based policy denies {action} in s3://my-backups/prod/team/orders/"
    )
    assert f"because no identity-based policy allows the {action} action" in finding.message
    assert finding.fix is not None
    assert "aws iam put-role-policy --role-name mxp-backup --policy-name backups-in-my-backups" in finding.fix
    assert bucket.objects == THERE


def _boundary(aws: AwsStandIn) -> None:
    statement = {"Effect": "Allow", "Action": "s3:List*", "Resource": "*"}
    iam = aws.admin_client("iam")
    made = iam.create_policy(PolicyName="boundary", PolicyDocument=policy(statement))
    iam.put_role_permissions_boundary(RoleName=ROLE.name, PermissionsBoundary=made["Policy"]["Arn"])


def _encrypted(aws: AwsStandIn, principal: str) -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "kms:*", "Resource": "*"}
    aws.bucket("my-backups").key = aws.add_key(policy(statement)).arn


def _endpoint(aws: AwsStandIn, *statements: dict[str, Any]) -> None:
    aws.add_endpoint(policy(*({"Principal": "*", "Resource": "*", **one} for one in statements)))


DENY = {"Effect": "Deny", "Principal": "*", "Action": "s3:*Object", "Resource": "arn:aws:s3:::my-backups/*"}
REPAIRED: dict[str, tuple[Callable[[AwsStandIn], None], str, str]] = {
    "another prefix": (
        lambda aws: allow(aws, ALL, "arn:aws:s3:::my-backups/test/*"), "identity-based policy", "put-role-policy",
    ),
    "a key": (
        lambda aws: _encrypted(aws, f"arn:aws:iam::{ACCOUNT}:root"), "identity-based policy", "backups-with-",
    ),
    "a key's policy": (
        lambda aws: _encrypted(aws, f"arn:aws:iam::{ACCOUNT}:user/admin"), "resource-based policy", "create-grant",
    ),
    "a bucket policy": (
        lambda aws: setattr(aws.bucket("my-backups"), "policy", policy(DENY)), "resource-based policy",
        "put-bucket-policy",
    ),
    "an endpoint that allows less": (
        lambda aws: _endpoint(aws, {"Effect": "Allow", "Action": "s3:Get*"}), "VPC endpoint policy",
        "modify-vpc-endpoint",
    ),
    "an endpoint that denies": (
        lambda aws: _endpoint(aws, {"Effect": "Allow", "Action": "*"}, {"Effect": "Deny", "Action": "s3:Put*"}),
        "VPC endpoint policy", "modify-vpc-endpoint",
    ),
    "a boundary": (_boundary, "permissions boundary", "create-policy-version"),
}  # fmt: skip


@pytest.mark.parametrize("name", variants(REPAIRED, "another prefix", "a bucket policy"))
def test_what_is_printed_repairs_it(
    aws: AwsStandIn, bucket: Bucket, issuer: TokenIssuer, name: str, tmp_path: Path
) -> None:
    spoil, kind, command = REPAIRED[name]
    spoil(aws)
    found = tried(issuer)[1]
    assert {one.level for one in found} == {Level.BROKEN}
    assert all(one.message.startswith(f"the {kind} denies ") for one in found)
    for one in found:
        assert one.fix is not None
        assert command in one.fix
        run_awscli(aws, one.fix, tmp_path)
    assert [one.level for one in tried(issuer)[1]] == [Level.OK]
    assert bucket.objects == THERE


def test_where_only_the_person_may_remove_it_the_person_does(
    aws: AwsStandIn, bucket: Bucket, issuer: TokenIssuer
) -> None:
    allow(aws, ALL[:3])
    probed, _ = tried(issuer)
    assert (probed.left, probed.unwritten) == ("", False)
    assert aws.count("PutObject") == 1
    assert bucket.objects == THERE


def test_what_nothing_may_remove_is_never_written(
    aws: AwsStandIn, bucket: Bucket, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(aws, ALL[:3])
    as_a_stranger(aws, monkeypatch)
    probed, found = tried(issuer)
    assert aws.count("PutObject") == 0
    assert probed.unwritten
    assert [one.level for one in found] == [Level.BROKEN, Level.NOTE]
    assert bucket.objects == THERE


@pytest.mark.parametrize(
    "fault",
    [
        LoseAnswer(applied=True, actions=("PutObject",)),
        FailAfterwards(code="InternalError", message="late", status=500, actions=("PutObject",)),
    ],
    ids=["answer lost", "error afterwards"],
)
def test_a_write_whose_answer_is_lost_is_removed_too(
    aws: AwsStandIn, bucket: Bucket, issuer: TokenIssuer, fault: Any
) -> None:
    with aws.fault(fault):
        probed, found = tried(issuer)
    assert probed.failed
    assert [one.level for one in found] == [Level.UNKNOWN]
    assert bucket.objects == THERE


def test_an_object_that_could_not_be_removed_is_named_with_the_command(
    aws: AwsStandIn, bucket: Bucket, issuer: TokenIssuer
) -> None:
    async def remove_the_right() -> None:
        await asyncio.to_thread(aws.wait_until, lambda: "PutObject" in aws.in_flight)
        allow(aws, ALL[:3])
        aws.clear_faults()

    async def work() -> tuple[Probed, list[Finding]]:
        calls = AwsCalls()
        keys = await by_token(calls, ROLE, issuer.token(SUBJECT), "mxp-identity-verify")
        probed, _ = await asyncio.gather(probe(calls, PLACE, keys), remove_the_right())
        found = [one async for one in findings_of(probed, Tried(calls, ROLE, PLACE, "prod/"))]
        calls.close()
        return probed, found

    with aws.fault(Hang(actions=("PutObject",))):
        probed, found = asyncio.run(work())
    assert set(bucket.objects) == {*THERE, probed.left}
    assert [one.fix for one in found if "could not be removed" in one.message] == [
        f"aws s3api delete-object --bucket my-backups --key {probed.left} --region us-west-2"
    ]


def test_ctrl_c_leaves_no_object(aws: AwsStandIn, bucket: Bucket, issuer: TokenIssuer) -> None:
    async def work() -> None:
        calls = AwsCalls()
        keys = await by_token(calls, ROLE, issuer.token(SUBJECT), "mxp-identity-verify")
        task = asyncio.create_task(probe(calls, PLACE, keys))
        await asyncio.to_thread(aws.wait_until, lambda: "GetObject" in aws.in_flight)
        assert len(bucket.objects) == len(THERE) + 1
        task.cancel()
        aws.clear_faults()
        with pytest.raises(asyncio.CancelledError):
            await task
        calls.close()

    with aws.fault(Hang(actions=("GetObject",))):
        asyncio.run(work())
    assert bucket.objects == THERE


def test_nothing_is_written_in_another_region_or_where_there_is_no_bucket(
    aws: AwsStandIn, issuer: TokenIssuer
) -> None:
    allow(aws, ["s3:*"])
    (elsewhere,) = tried(issuer, Place("my-backups", "eu-west-1", "team/orders/"))[1]
    (missing,) = tried(issuer, Place("my-backupps", "us-west-2", "team/orders/"))[1]
    assert elsewhere.message == "bucket my-backups is in us-west-2, and not in eu-west-1"
    assert missing.message == "bucket my-backupps does not exist"
    assert aws.count("PutObject") == aws.count("DeleteObject") == 0
