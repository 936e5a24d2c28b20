"""The server itself: connections, load, child processes, and the stand-in in a process of its own."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rig.aws import (
    ACCOUNT,
    REGION,
    AwsStandIn,
    Hang,
    Latency,
    Refuse,
    RemoteStandIn,
    Throttle,
    TokenIssuer,
    launch,
)
from rig.aws.expect import refused

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

SUBJECT = "system:serviceaccount:mxp-1-system:mxp-controller"
AWS_CLI = Path(sys.executable).with_name("aws")


def post(url: str, body: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, body.encode(), headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# Connections


def test_one_connection_carries_many_requests(aws: AwsStandIn) -> None:
    connection = HTTPConnection("127.0.0.1", int(aws.url.rpartition(":")[2]))
    connection.connect()
    port = connection.sock.getsockname()

    for _ in range(3):
        connection.request("POST", "/", "Action=GetRole&Version=2010-05-08")
        assert connection.getresponse().read()
        assert connection.sock.getsockname() == port
    connection.close()


def test_requests_sent_at_once_are_answered_in_order(aws: AwsStandIn) -> None:
    def request(action: str) -> bytes:
        body = f"Action={action}&Version=2010-05-08".encode()
        return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    last = request("ListRoles").replace(b"Host: x", b"Host: x\r\nConnection: close")
    with socket.create_connection(("127.0.0.1", int(aws.url.rpartition(":")[2]))) as connection:
        connection.sendall(request("GetRole") + request("GetUser") + last)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.count(b"HTTP/1.1 403 Forbidden") == 3
    assert [record.action for record in aws.log] == ["GetRole", "GetUser", "ListRoles"]


def test_what_is_not_http_is_hung_up_on(aws: AwsStandIn) -> None:
    with socket.create_connection(("127.0.0.1", int(aws.url.rpartition(":")[2])), timeout=5) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")

        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = connection.recv(100)

    assert answer == b""


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(aws: AwsStandIn) -> None:
    with socket.create_connection(("127.0.0.1", int(aws.url.rpartition(":")[2])), timeout=5) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")

        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("", 400, "MissingAction"),
        ("Action=GetRole&Version=1999-01-01", 400, "InvalidAction"),
        ("Action=GetRole&Version=2010-05-08&RoleName=x", 403, "MissingAuthenticationToken"),
        ("Action=GetCallerIdentity&Version=2011-06-15", 403, "MissingAuthenticationToken"),
    ],
)
def test_a_request_that_is_no_signed_call(aws: AwsStandIn, body: str, status: int, code: str) -> None:
    answered, text = post(aws.url, body)

    assert answered == status
    assert re.findall("<Code>(.*?)</Code>", text) == [code]


def test_a_hundred_callers_are_answered_side_by_side(aws: AwsStandIn, iam: "IAMClient", role: str) -> None:
    clients = [aws.admin_client("iam") for _ in range(2)]
    iam.get_role(RoleName=role.rpartition("/")[2])
    with aws.fault(Latency(seconds=0.15)), ThreadPoolExecutor(100) as pool:
        start = time.monotonic()
        list(pool.map(lambda number: clients[number % 2].get_role(RoleName="backup"), range(500)))
        elapsed = time.monotonic() - start

    # 500 calls one after another would take 75 s; a hundred at once cannot take less than 0.75 s.
    assert 0.75 <= elapsed < 75 / 3


def test_leaving_closes_connections_that_hang(keys: TokenIssuer) -> None:
    with ThreadPoolExecutor(1) as pool:
        with AwsStandIn() as aws:
            iam = aws.admin_client("iam")
            iam.create_role(RoleName="r", AssumeRolePolicyDocument=keys.trust("x", account=ACCOUNT))
            aws.switch_on(Hang())
            hanging = pool.submit(iam.get_role, RoleName="r")
            aws.wait_until(lambda: aws.in_flight == ["GetRole"])
            start = time.monotonic()
        with pytest.raises(Exception, match="onnection"):
            hanging.result()
    assert time.monotonic() - start < 2


def test_a_port_that_is_taken_is_an_error(aws: AwsStandIn) -> None:
    port = int(aws.url.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"), AwsStandIn(port=port):
        pass


def test_a_bug_in_the_stand_in_is_an_answer_not_a_hang(
    aws: AwsStandIn, iam: "IAMClient", role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    assert role
    monkeypatch.setattr(aws._state.trust, "version", fail)  # noqa: SLF001

    with refused("InternalFailure", 500):
        iam.get_role(RoleName="backup")


# Children


@pytest.mark.usefixtures("role")
def test_the_ambient_environment_does_not_matter(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nothing"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_IAM", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "somebody-elses")

    aws.admin_client("iam").get_role(RoleName="backup")
    assert cli(aws.environment(), "iam", "get-role", "--role-name", "backup")["Role"]["RoleName"] == "backup"


def cli(environment: dict[str, str], *arguments: str) -> dict[str, dict[str, str]]:
    done = subprocess.run(
        [sys.executable, AWS_CLI, *arguments, "--output", "json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OSError(done.stderr)
    found: dict[str, dict[str, str]] = json.loads(done.stdout or "{}")
    return found


def test_the_environment_holds_what_a_child_needs_and_nothing_of_aws_else(aws: AwsStandIn) -> None:
    env = aws.environment(base={"PATH": "/bin", "AWS_PROFILE": "x", "no_proxy": "internal"})

    assert env["PATH"] == "/bin"
    assert env["AWS_ENDPOINT_URL"] == aws.url
    assert (env["AWS_REGION"], env["NO_PROXY"]) == (REGION, "internal,127.0.0.1")
    assert "AWS_PROFILE" not in env


def test_the_awscli_assumes_a_role_with_a_token_file(tmp_path: Path, keys: TokenIssuer) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(keys.token(SUBJECT))
    with AwsStandIn() as aws:
        aws.add_issuer(keys.url, keys.jwks)
        iam = aws.admin_client("iam")
        iam.create_open_id_connect_provider(Url=keys.url, ClientIDList=["sts.amazonaws.com"])
        document = keys.trust(SUBJECT, account=ACCOUNT)
        role = iam.create_role(RoleName="backup", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        env = aws.environment(role_arn=role, token_file=token_file)

        identity = cli(env, "sts", "get-caller-identity")
        with pytest.raises(OSError, match=r"is not authorized to perform: iam:GetRole on resource: role backup"):
            cli(env, "iam", "get-role", "--role-name", "backup")

    assert str(identity["Arn"]).startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/backup/")


# In a process of its own


@pytest.fixture(scope="module")
def shared_remote() -> Iterator[RemoteStandIn]:
    with launch("--quota", "4096", "--seed", "7") as remote:
        yield remote


@pytest.fixture
def remote(shared_remote: RemoteStandIn) -> RemoteStandIn:
    shared_remote.clear_faults()
    shared_remote.forget_calls()
    return shared_remote


def test_a_remote_stand_in_is_an_endpoint_too(remote: RemoteStandIn) -> None:
    assert remote.admin_client("sts").get_caller_identity()["Account"] == remote.account == ACCOUNT
    assert remote.calls == {("GetCallerIdentity", "OK"): 1}
    assert remote.count("GetCallerIdentity") == 1
    assert remote.log[0].caller == f"arn:aws:iam::{ACCOUNT}:root"


def test_a_remote_quota_can_be_set(remote: RemoteStandIn) -> None:
    assert remote.quota == 4096
    remote.quota = 8192

    summary = remote.admin_client("iam").get_account_summary()["SummaryMap"]
    assert summary["AssumeRolePolicySizeQuota"] == remote.quota == 8192
    remote.quota = 4096


def test_remote_faults_can_be_switched(remote: RemoteStandIn) -> None:
    sts = remote.admin_client("sts")
    slow = remote.switch_on(Latency(seconds=0.01, until=0.02, actions=("GetRole",)))
    with remote.fault(Refuse(times=3)) as refusal, refused("ServiceFailure", 500):
        assert [switch.fault for switch in remote.faults] == [slow.fault, refusal.fault]
        sts.get_caller_identity()
    assert [switch.fault for switch in remote.faults] == [slow.fault]

    remote.switch_on(Throttle(rate=0, burst=0))
    with refused("Throttling", 400):
        sts.get_caller_identity()
    assert [switch.used for switch in remote.faults] == [0, 1]

    remote.clear_faults()
    sts.get_caller_identity()


def test_a_remote_stand_in_verifies_tokens_and_keeps_histories(remote: RemoteStandIn, keys: TokenIssuer) -> None:
    iam, sts = remote.admin_client("iam"), remote.admin_client("sts")
    iam.create_open_id_connect_provider(Url=keys.url, ClientIDList=["sts.amazonaws.com"])
    document = keys.trust(SUBJECT, account=ACCOUNT)
    role = iam.create_role(RoleName="backup", AssumeRolePolicyDocument=document)["Role"]["Arn"]

    def assume() -> None:
        sts.assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="session-1", WebIdentityToken=keys.token(SUBJECT)
        )

    remote.add_issuer(keys.url, keys.jwks)
    assume()
    remote.remove_issuer(keys.url)
    with refused("InvalidIdentityToken", 400):
        assume()
    assert [write.document for write in remote.history("backup")] == [document]


def test_a_remote_principal_can_be_deleted(remote: RemoteStandIn) -> None:
    iam = remote.admin_client("iam")
    iam.create_user(UserName="alice")
    remote.delete_principal(f"arn:aws:iam::{ACCOUNT}:user/alice")

    with refused("NoSuchEntity", 404):
        iam.get_user(UserName="alice")
    with pytest.raises(ValueError, match="is not the ARN of an IAM user or role"):
        remote.delete_principal("alice")


def test_a_remote_call_that_hangs_is_seen(remote: RemoteStandIn) -> None:
    with ThreadPoolExecutor(1) as pool, remote.fault(Hang()):
        waiting = pool.submit(remote.admin_client("sts").get_caller_identity)
        remote.wait_until(lambda: remote.in_flight == ["GetCallerIdentity"])
        remote.clear_faults()
        assert waiting.result()["Account"] == ACCOUNT

    with pytest.raises(TimeoutError):
        remote.wait_until(lambda: False, timeout=0.01)


def test_the_control_api_says_what_it_does_not_know(remote: RemoteStandIn) -> None:
    assert post(f"{remote.url}/_standin/faults", '{"type": "Earthquake"}')[0] == 400
    status, text = post(f"{remote.url}/_standin/nothing", "{}")

    assert status == 404
    assert "GET, DELETE log" in text


def test_a_stand_in_that_cannot_start_says_so(remote: RemoteStandIn) -> None:
    with pytest.raises(OSError, match="before it served"), launch("--port", remote.url.rpartition(":")[2]):
        pass


def test_the_entry_point_prints_what_to_export() -> None:
    process = subprocess.Popen([sys.executable, "-m", "rig.aws"], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    with process.stdout:
        url = process.stdout.readline().split()[-1]
        lines = list(iter(process.stdout.readline, f"To make it fail, see {url}/_standin/\n"))
        process.terminate()

    assert process.wait(timeout=10) == 0
    assert f"  export AWS_ENDPOINT_URL={url}\n" in lines
