"""The switches, one by one, as a caller meets them."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from rig.aws import (
    ACCOUNT,
    AwsStandIn,
    Deny,
    FailAfterwards,
    Fault,
    Hang,
    Latency,
    LoseAnswer,
    ManualClock,
    Refuse,
    Stale,
    Throttle,
    TokenIssuer,
)
from rig.aws.calls import read as read_call
from rig.aws.expect import refused
from rig.aws.http import Request
from rig.aws.switchboard import Switchboard

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_sts import STSClient

SUBJECT = "system:serviceaccount:mxp-1-system:mxp-controller"
pytestmark = pytest.mark.usefixtures("role")


def write(iam: "IAMClient", keys: TokenIssuer, *subjects: str) -> None:
    iam.update_assume_role_policy(RoleName="backup", PolicyDocument=keys.trust(*subjects, account=ACCOUNT))


def trusted(document: Any) -> list[str]:
    """The subjects a trust policy names."""
    parsed = json.loads(document) if isinstance(document, str) else document
    conditions = parsed["Statement"][0]["Condition"]["StringEquals"]
    return next(list(value) for key, value in conditions.items() if key.endswith(":sub"))


def read(iam: "IAMClient") -> list[str]:
    return trusted(iam.get_role(RoleName="backup")["Role"]["AssumeRolePolicyDocument"])


def assume(sts: "STSClient", issuer: TokenIssuer, subject: str = SUBJECT) -> None:
    sts.assume_role_with_web_identity(
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/backup",
        RoleSessionName="session-1",
        WebIdentityToken=issuer.token(subject),
    )


@contextmanager
def impatient(aws: AwsStandIn) -> Iterator["IAMClient"]:
    """A client that gives up after 0.3 s; the block must end in that."""
    with pytest.raises(ReadTimeoutError):
        yield aws.client("iam", aws.root, Config(read_timeout=0.3))


# Latency


def test_latency_is_added_to_every_call(aws: AwsStandIn, iam: "IAMClient") -> None:
    with aws.fault(Latency(seconds=0.2)):
        start = time.monotonic()
        iam.get_role(RoleName="backup")

    assert 0.2 <= time.monotonic() - start < 1


def test_calls_do_not_wait_for_each_others_latency(aws: AwsStandIn, iam: "IAMClient") -> None:
    with aws.fault(Latency(seconds=0.2)), ThreadPoolExecutor(30) as pool:
        start = time.monotonic()
        list(pool.map(lambda _: iam.get_role(RoleName="backup"), range(30)))

    assert time.monotonic() - start < 2


def test_half_of_the_latency_passes_before_the_call_takes_effect(
    aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer
) -> None:
    def took_effect_and_answered_after(subject: str) -> tuple[float, float]:
        with ThreadPoolExecutor(1) as pool:
            start = time.monotonic()
            writing = pool.submit(write, iam, keys, subject)
            while read(iam) != [subject]:
                pass
            applied = time.monotonic() - start
            writing.result()
        return applied, time.monotonic() - start

    with aws.fault(Latency(seconds=0.6, actions=("UpdateAssumeRolePolicy",))):
        times = [took_effect_and_answered_after(f"new-{number}") for number in range(3)]

    assert min(times)[0] < 0.6, "a busy machine may see one late, but not each"
    assert all(applied >= 0.3 and answered >= 0.6 for applied, answered in times)


def test_a_caller_that_gives_up_does_not_stop_its_write(
    aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer
) -> None:
    with aws.fault(Latency(seconds=1, actions=("UpdateAssumeRolePolicy",))):
        with impatient(aws) as client:
            write(client, keys, "late")
        assert read(iam) == [SUBJECT]
        aws.wait_until(lambda: aws.calls["UpdateAssumeRolePolicy", "CallerGone"] == 1)

    assert read(iam) == ["late"]


def test_latency_within_a_range_follows_the_seed() -> None:
    def draw(seed: int) -> list[float]:
        switches = Switchboard(time.time, seed)
        switches.on(Latency(seconds=0.1, until=0.2))
        call = read_call(Request("POST", "/", {}, b"Action=GetRole&Version=2010-05-08&RoleName=backup", ""))
        return [switches.meet(call, "").latency for _ in range(5)]

    assert draw(1) == draw(1) != draw(2)
    assert all(0.1 <= seconds <= 0.2 for seconds in draw(3))
    assert len(set(draw(1))) == 5


# Throttling


def test_above_the_rate_calls_are_throttled(aws: AwsStandIn, iam: "IAMClient", clock: ManualClock) -> None:
    aws.switch_on(Throttle(rate=2, burst=3))
    for _ in range(3):
        read(iam)
    with refused("Throttling", 400, "Rate exceeded"):
        read(iam)

    clock.advance(0.5)

    read(iam)
    with refused("Throttling", 400):
        read(iam)


def test_a_bucket_holds_no_more_than_its_burst(aws: AwsStandIn, iam: "IAMClient", clock: ManualClock) -> None:
    aws.switch_on(Throttle(rate=2, burst=3))
    clock.advance(3600)
    for _ in range(3):
        read(iam)

    with refused("Throttling", 400):
        read(iam)


def test_a_throttled_write_is_not_applied(aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer) -> None:
    with aws.fault(Throttle(rate=0, burst=0, actions=("UpdateAssumeRolePolicy",))):
        with refused("Throttling", 400):
            write(iam, keys, "new")
        read(iam)

    assert len(aws.history("backup")) == 1


def test_an_sdk_that_retries_gets_through(aws: AwsStandIn) -> None:
    patient = Config(retries={"mode": "standard", "total_max_attempts": 3})
    with aws.fault(Throttle(rate=0, burst=0, times=1)):
        aws.client("iam", aws.root, patient).get_role(RoleName="backup")

    assert aws.calls["GetRole", "Throttling"] == 1
    assert aws.calls["GetRole", "OK"] == 1


# Errors


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_before_the_write_leaves_everything_as_it_was(
    aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer, status: int
) -> None:
    with aws.fault(Refuse(status=status)), refused("ServiceFailure", status):
        write(iam, keys, "new")

    assert read(iam) == [SUBJECT]
    assert len(aws.history("backup")) == 1


def test_any_error_can_be_answered(aws: AwsStandIn, iam: "IAMClient") -> None:
    conflict = Refuse(code="ConcurrentModification", status=409, message="Try <again> & again")

    with aws.fault(conflict), refused("ConcurrentModification", 409, "Try <again> & again"):
        read(iam)


def test_access_denied_for_sts_reads_like_a_missing_trust(
    aws: AwsStandIn, sts: "STSClient", issuer: TokenIssuer
) -> None:
    message = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
    with aws.fault(Deny(role="backup")), refused("AccessDenied", 403, message):
        assume(sts, issuer)


def test_access_denied_may_be_an_explicit_deny(aws: AwsStandIn, iam: "IAMClient") -> None:
    message = (
        f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: iam:GetRole on resource: role backup "
        "with an explicit deny in an identity-based policy"
    )
    with aws.fault(Deny(explicit=True)), refused("AccessDenied", 403, message):
        read(iam)


def test_an_error_after_the_write_hides_that_it_was_applied(
    aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer
) -> None:
    with aws.fault(FailAfterwards()), refused("ServiceFailure", 500):
        write(iam, keys, "new")

    assert read(iam) == ["new"]
    assert aws.calls["UpdateAssumeRolePolicy", "ServiceFailure"] == 1


def test_a_lost_answer_hides_that_the_write_was_applied(
    aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer
) -> None:
    with aws.fault(LoseAnswer(actions=("UpdateAssumeRolePolicy",))), pytest.raises(ConnectionClosedError):
        write(iam, keys, "new")

    assert read(iam) == ["new"]
    assert aws.calls["UpdateAssumeRolePolicy", "AnswerLost"] == 1


def test_a_connection_may_also_close_before_the_write(
    aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer
) -> None:
    with aws.fault(LoseAnswer(applied=False)), pytest.raises(ConnectionClosedError):
        write(iam, keys, "new")

    assert read(iam) == [SUBJECT]


# No answer


@pytest.mark.parametrize(("applied", "after"), [(False, [SUBJECT]), (True, ["new"])])
def test_a_client_gives_up_on_a_call_that_hangs(
    aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer, *, applied: bool, after: list[str]
) -> None:
    with aws.fault(Hang(applied=applied, actions=("UpdateAssumeRolePolicy",))):
        with impatient(aws) as client:
            write(client, keys, "new")
        aws.wait_until(lambda: aws.calls["UpdateAssumeRolePolicy", "CallerGone"] == 1)

    assert read(iam) == after


@pytest.mark.parametrize("applied", [False, True])
def test_a_call_that_hangs_is_answered_once_the_switch_is_cleared(
    aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer, *, applied: bool
) -> None:
    switch = aws.switch_on(Hang(applied=applied, actions=("UpdateAssumeRolePolicy",)))
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write, iam, keys, "new")
        aws.wait_until(lambda: aws.in_flight == ["UpdateAssumeRolePolicy"])
        aws.wait_until(lambda: (len(aws.history("backup")) == 2) is applied)
        assert not writing.done()
        aws.switch_off(switch)
        writing.result()

    assert read(iam) == ["new"]


# Stale reads


def test_a_stale_read_shows_the_policy_of_some_seconds_ago(
    aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer, clock: ManualClock
) -> None:
    clock.advance(60)
    write(iam, keys, "new")
    with aws.fault(Stale(seconds=5, actions=("GetRole",))):
        clock.advance(4)
        assert read(iam) == [SUBJECT]
        clock.advance(1)
        assert read(iam) == ["new"]


def test_a_stale_read_does_not_know_a_new_role(aws: AwsStandIn, iam: "IAMClient", clock: ManualClock) -> None:
    clock.advance(4)
    with aws.fault(Stale(seconds=5)):
        with refused("NoSuchEntity", 404):
            read(iam)
        assert iam.list_roles()["Roles"] == []
        clock.advance(1)
        read(iam)


def test_a_stale_read_still_shows_a_deleted_role(aws: AwsStandIn, iam: "IAMClient", clock: ManualClock) -> None:
    clock.advance(60)
    iam.delete_role(RoleName="backup")

    with aws.fault(Stale(seconds=5)):
        assert read(iam) == [SUBJECT]
    with refused("NoSuchEntity", 404):
        read(iam)


def test_sts_can_be_late_while_reads_are_not(
    aws: AwsStandIn, iam: "IAMClient", sts: "STSClient", issuer: TokenIssuer, clock: ManualClock
) -> None:
    clock.advance(60)
    write(iam, issuer, "new")
    clock.advance(4)
    with aws.fault(Stale(seconds=5, actions=("AssumeRoleWithWebIdentity",))):
        assert read(iam) == ["new"]
        assume(sts, issuer, SUBJECT)
        with refused("AccessDenied", 403):
            assume(sts, issuer, "new")
        clock.advance(1)
        assume(sts, issuer, "new")


def test_reads_can_be_late_while_sts_is_not(
    aws: AwsStandIn, iam: "IAMClient", sts: "STSClient", issuer: TokenIssuer, clock: ManualClock
) -> None:
    clock.advance(60)
    write(iam, issuer, "new")
    with aws.fault(Stale(seconds=5, actions=("GetRole",))):
        assert read(iam) == [SUBJECT]
        assume(sts, issuer, "new")


def test_a_write_on_a_stale_read_loses_what_was_written_between(
    aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer, clock: ManualClock
) -> None:
    clock.advance(60)
    write(iam, keys, SUBJECT, "theirs")
    with aws.fault(Stale(seconds=5)):
        write(iam, keys, *read(iam), "mine")

    assert read(iam) == [SUBJECT, "mine"]
    assert [trusted(one.document) for one in aws.history("backup")] == [
        [SUBJECT],
        [SUBJECT, "theirs"],
        [SUBJECT, "mine"],
    ]


# Scopes


def failures(iam: "IAMClient", calls: int) -> int:
    failed = 0
    for _ in range(calls):
        try:
            iam.get_role(RoleName="backup")
        except ClientError:
            failed += 1
    return failed


def test_a_fault_lasts_for_the_next_so_many_calls(aws: AwsStandIn, iam: "IAMClient") -> None:
    switch = aws.switch_on(Refuse(times=2))

    assert failures(iam, 5) == 2
    assert switch.used == 2


def test_a_fault_of_another_action_does_not_count_down(aws: AwsStandIn, iam: "IAMClient") -> None:
    aws.switch_on(Refuse(times=1, actions=("GetRole",)))
    iam.list_roles()

    assert failures(iam, 3) == 1


def test_a_fault_may_be_for_one_role_alone(aws: AwsStandIn, iam: "IAMClient", keys: TokenIssuer) -> None:
    iam.create_role(RoleName="other", AssumeRolePolicyDocument=keys.trust("x", account=ACCOUNT))
    aws.switch_on(Refuse(role="other"))

    iam.get_role(RoleName="backup")
    with refused("ServiceFailure", 500):
        iam.get_role(RoleName="other")


def test_a_fault_of_a_role_holds_for_sts_too(aws: AwsStandIn, sts: "STSClient", issuer: TokenIssuer) -> None:
    with aws.fault(Refuse(role="backup", times=1)), refused("ServiceFailure", 500):
        assume(sts, issuer)
    with aws.fault(Refuse(role="other")):
        assume(sts, issuer)


def test_a_fault_may_be_for_one_caller_alone(aws: AwsStandIn, iam: "IAMClient") -> None:
    aws.switch_on(Refuse(caller="*:assumed-role/webhook/*"))
    assert failures(iam, 1) == 0

    aws.switch_on(Refuse(caller="*:root"))
    assert failures(iam, 1) == 1


def test_a_fault_may_come_by_chance(aws: AwsStandIn, iam: "IAMClient") -> None:
    aws.switch_on(Refuse(chance=0.5))

    assert 5 <= failures(iam, 40) <= 35


def test_faults_add_up(aws: AwsStandIn, iam: "IAMClient") -> None:
    with aws.fault(Latency(seconds=0.1)), aws.fault(Latency(seconds=0.1)), aws.fault(Refuse()):
        start = time.monotonic()
        with refused("ServiceFailure", 500):
            read(iam)

    assert time.monotonic() - start >= 0.2


EVERY_FAULT: list[Fault] = [
    Latency(seconds=5),
    Throttle(rate=0, burst=0),
    Refuse(),
    Deny(),
    FailAfterwards(),
    LoseAnswer(),
    Hang(),
    Stale(seconds=3600),
]


@pytest.mark.parametrize("fault", EVERY_FAULT, ids=[type(fault).__name__ for fault in EVERY_FAULT])
def test_a_cleared_fault_is_gone(aws: AwsStandIn, iam: "IAMClient", fault: Fault) -> None:
    aws.switch_on(fault)
    aws.clear_faults()

    assert aws.faults == []
    assert read(iam) == [SUBJECT]
