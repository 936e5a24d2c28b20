"""Ctrl-C or SIGTERM at any moment: one line, exit code 130, no traceback, and a second run goes on from there."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import typer.main

from rig.aws.faults import Hang, Latency
from rig.aws.standin import AwsStandIn
from rig.kubernetes import objects
from rig.kubernetes.objects import CONTROL_PLANE_LABEL, SERVICE_ACCOUNT
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.space import EKS_CLUSTER, Space
from tests.cli.commands import Person, start
from tests.e2e.observe import annotation, is_trusted
from tests.e2e.replicas import role_leases
from tests.e2e.scenes import account_path, create_account, create_namespace, label, whole_space
from tests.support.variants import variants
from webhook.cli.app import app
from webhook.cli.exits import next_run
from webhook.iam.statement import OwnStatement
from webhook.model.names import IssuerUrl, RoleArn, Subject

AGAIN = "interrupted: run the same command again, "
LINE = f"{AGAIN}it continues from here"
NEXT_RUN = {
    **dict.fromkeys(("verify", "plan", "report", "config", "version", "serve"), "it begins anew"),
    **dict.fromkeys(("setup", "adopt", "apply", "migrate", "restart", "withdraw"), "it continues from here"),
    "conformance": "it removes what is left and begins anew",
}
PLAIN = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}
GONE_ISSUER = f"https://oidc.eks.eu-west-1.amazonaws.com/id/{'C3' * 16}"
ISSUER = f"https://oidc.eks.us-west-2.amazonaws.com/id/{'A1' * 16}"
SETUP = ("setup", "--bucket", "my-backups", "--region", "us-west-2", "--issuer", ISSUER)


def test_what_the_next_run_does_is_known_of_each_command() -> None:
    commands = dict(vars(typer.main.get_command(app))["commands"])
    assert {command: next_run([command, "--output", "json"]) for command in commands} == NEXT_RUN


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["typer", "webhook.cli.output", "boto3"])
def test_while_its_modules_load(module: str, ending: signal.Signals) -> None:
    """Python tells on standard error what it has loaded."""
    argv = [sys.executable, "-X", "importtime", "-m", "webhook", *SETUP]
    with subprocess.Popen(argv, env=PLAIN, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any(line.rstrip().endswith(f" {module}") for line in process.stderr), "loaded"
        process.send_signal(ending)
        printed = process.stderr.read()
    assert process.returncode == 130
    assert printed.splitlines()[-1] == LINE
    assert "Traceback" not in printed, printed


HOSTILE_MOMENTS = {
    "a class names its fields": "type('Model', (), {'field': Pressed()})",
    "an object is destroyed": "Pressed()",
}
LOADER = """
import signal, sys
from webhook.cli import main

class Pressed:
    def __set_name__(self, owner, name):
        signal.raise_signal(signal.SIGINT)
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

class Loading:
    def find_spec(self, name, path, target=None):
        if name == "{module}":
            {moment}

sys.meta_path.insert(0, Loading())
main()
"""


@pytest.mark.parametrize("module", ["typer", "boto3"])
@pytest.mark.parametrize("moment", HOSTILE_MOMENTS)
def test_where_python_makes_another_error_of_it_or_drops_it(moment: str, module: str) -> None:
    program = LOADER.format(module=module, moment=HOSTILE_MOMENTS[moment])
    assert _ended(program, *SETUP) == (130, f"{LINE}\n")


@pytest.mark.parametrize("ending", ["SIGINT", "SIGTERM"])
def test_while_python_shuts_down(ending: str) -> None:
    """It waits then for threads, whose reads may hang."""
    at_the_end = f"import atexit, signal; atexit.register(signal.raise_signal, signal.{ending})"
    program = f"{at_the_end}; from webhook.cli import main; main()"
    assert _ended(program, "version") == (130, f"{AGAIN}it begins anew\n")


def _ended(program: str, *typed: str) -> tuple[int, str]:
    """How a program of Python ended, and what it printed as errors."""
    argv = [sys.executable, "-c", program, *typed]
    ended = subprocess.run(argv, env=PLAIN, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr


def test_ctrl_c_does_not_wait_for_aws() -> None:
    with AwsStandIn() as aws, aws.fault(Hang(actions=("GetRole",))):
        process = start(*SETUP, env=aws.environment(base=PLAIN))
        aws.wait_until(lambda: "GetRole" in aws.in_flight, timeout=30)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=60)
        aws.wait_until(lambda: not aws.in_flight)
        assert aws.count("GetRole") < 3, "it is not tried five times"
    assert (process.returncode, printed.splitlines()[-1]) == (130, LINE)


IN_BACKGROUND = ("/bin/sh", "-c", """trap '' INT; exec "$@\"""", "sh", sys.executable, "-m", "webhook", *SETUP)
"""As a script's shell starts it with `&`."""


def test_a_job_in_background_of_a_script_goes_on_where_ctrl_c_ends_the_script() -> None:
    with AwsStandIn() as aws, aws.fault(Latency(actions=("GetRole",), seconds=1)):
        env = aws.environment(base={**PLAIN, "PYTHONPROFILEIMPORTTIME": "1"})
        with subprocess.Popen(IN_BACKGROUND, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            assert any(line.rstrip().endswith(b" typer") for line in process.stderr), "loaded"
            process.send_signal(signal.SIGINT)
            with process.stderr as printed, ThreadPoolExecutor() as thread:
                rest = thread.submit(printed.read)
                aws.wait_until(lambda: "GetRole" in aws.in_flight, timeout=30)
                process.send_signal(signal.SIGINT)
                shown, _ = process.communicate(timeout=60)
                assert AGAIN.encode() not in rest.result()
    assert process.returncode == 3
    assert shown


def test_sigterm_ends_a_job_in_background_of_a_script_too() -> None:
    with AwsStandIn() as aws, aws.fault(Hang(actions=("GetRole",))):
        env = aws.environment(base=PLAIN)
        with subprocess.Popen(IN_BACKGROUND, env=env, stderr=subprocess.PIPE, text=True) as process:
            aws.wait_until(lambda: "GetRole" in aws.in_flight, timeout=30)
            process.send_signal(signal.SIGTERM)
            _, printed = process.communicate(timeout=60)
    assert (process.returncode, printed.splitlines()[-1]) == (130, LINE)


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with whole_space(eks_lag=0, quota=8192) as running:
        yield running


LOOKING = {
    ("plan",): "GetRole",
    ("report",): "GetAccountSummary",
    ("verify",): "GetAccountSummary",
    ("verify", "--assume"): "AssumeRoleWithWebIdentity",
    ("restart",): "GetRole",
    ("apply",): "GetRole",
    ("migrate", "backup", "--to", "pod-identity"): "GetRole",
    ("withdraw",): "GetRole",
}


@pytest.mark.rig
@pytest.mark.parametrize("command", variants(LOOKING, ("plan",)), ids=" ".join)
def test_while_it_looks(space: Space, command: tuple[str, ...]) -> None:
    person, action = Person(space, cluster={"name": EKS_CLUSTER}), LOOKING[command]
    namespace = create_namespace(space)
    create_account(space, namespace, space.roles[0])
    space.aws.wait_until(lambda: not space.aws.in_flight)
    with space.aws.fault(Hang(actions=(action,))):
        process = start(*command, "--config", str(person.file), env=person.environment)
        space.aws.wait_until(lambda: action in space.aws.in_flight, timeout=30)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=30)
    assert process.returncode == 130
    assert printed.splitlines()[-1] == f"{AGAIN}{NEXT_RUN[command[0]]}"
    assert "Traceback" not in printed, printed


@pytest.mark.rig
@pytest.mark.parametrize("times", variants([1, 2]))
def test_in_the_middle_of_a_write_and_a_second_run_does_the_rest(space: Space, times: int) -> None:
    person, namespace = Person(space), create_namespace(space)
    create_account(space, namespace)
    with space.aws.fault(Latency(actions=("UpdateAssumeRolePolicy",), seconds=1.5)):
        _interrupt_while_it_writes(space, person, times, "apply")
    assert is_trusted(space, namespace)

    assert person("apply").code == 0
    assert annotation(space, namespace) == space.roles[0]


@pytest.mark.rig
@pytest.mark.parametrize("ending", variants([signal.SIGINT, signal.SIGTERM]))
def test_in_the_middle_of_a_removal_and_replicas_can_read_in_the_lease_what_was_removed(
    space: Space, ending: signal.Signals
) -> None:
    person, goes = Person(space), create_namespace(space)
    create_account(space, goes)
    assert person("apply").code == 0
    label(space, goes, {CONTROL_PLANE_LABEL: None})
    with space.aws.fault(Latency(actions=("UpdateAssumeRolePolicy",), seconds=1.5)):
        _interrupt_while_it_writes(space, person, 1, "apply", "--approve", ending=ending)
    assert not is_trusted(space, goes)
    removed = [lease["metadata"]["annotations"].get("mxp-identity/removed", "{}") for lease in role_leases(space)]
    assert any(f"{goes}/{SERVICE_ACCOUNT}" in json.loads(text) for text in removed)
    space.cluster.api.delete(account_path(goes))  # its annotation would be a problem for the next test


@pytest.mark.rig
@pytest.mark.parametrize("times", variants([1, 2]))
def test_in_the_middle_of_retiring_a_cluster_and_a_second_run_finds_nothing_left(space: Space, times: int) -> None:
    person, before = Person(space), space.policy()
    # An installation is called after its namespace.
    own = OwnStatement.for_role(RoleArn(space.roles[0]), IssuerUrl(GONE_ISSUER), OWN_NAMESPACE)
    theirs = own.render([Subject("mxp-far-system", SERVICE_ACCOUNT)])
    with_theirs = {**before, "Statement": [*before["Statement"], theirs]}
    iam = space.aws.admin_client("iam")
    iam.update_assume_role_policy(RoleName="mxp-backup", PolicyDocument=json.dumps(with_theirs))
    command = ("apply", "--retire-issuer", GONE_ISSUER, "--approve")
    with space.aws.fault(Latency(actions=("UpdateAssumeRolePolicy",), seconds=1.5)):
        _interrupt_while_it_writes(space, person, times, *command)
    assert space.policy() == before

    again = person(*command)
    assert (again.code, again.out) == (2, "")
    assert f"no role of the bindings names {GONE_ISSUER} in its trust policy" in again.err
    assert space.policy() == before


def _interrupt_while_it_writes(
    space: Space, person: Person, times: int, *command: str, ending: signal.Signals = signal.SIGINT
) -> None:
    """See it end with one line, and the write at its end too."""
    process = start(*command, "--config", str(person.file), env=person.environment)
    space.aws.wait_until(lambda: "UpdateAssumeRolePolicy" in space.aws.in_flight, timeout=30)
    for _ in range(times):
        process.send_signal(ending)
        time.sleep(0.2)  # a person's fingers
    _, printed = process.communicate(timeout=30)
    assert process.returncode == 130
    assert printed.splitlines()[-1] == LINE
    assert "Traceback" not in printed, printed
    space.aws.wait_until(lambda: not space.aws.in_flight, timeout=30)


@pytest.mark.rig
def test_in_the_middle_of_a_rollout_that_continues_without_it(space: Space) -> None:
    person, namespace = Person(space), create_namespace(space)
    create_account(space, namespace)
    space.cluster.create([objects.deployment(namespace)])
    space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT)
    assert person("apply").code == 0

    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{SERVICE_ACCOUNT}"
    with space.cluster.stopped("kube-scheduler"):
        process = start("restart", namespace, "--approve", "--config", str(person.file), env=person.environment)
        space.aws.wait_until(lambda: space.cluster.api.get(path)["metadata"]["generation"] == 2, timeout=30)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=30)
    assert process.returncode == 130
    assert printed.splitlines()[-1] == LINE

    space.cluster.wait_for_deployment(namespace, SERVICE_ACCOUNT)
    again = person("restart", namespace)
    assert (again.code, again.out) == (0, "no pod lacks its identity\n"), again.err


@pytest.mark.rig
def test_between_two_writes_it_tells_of_the_first(space: Space) -> None:
    person, goes = Person(space), create_namespace(space)
    create_account(space, goes)
    assert person("apply").code == 0
    label(space, goes, {CONTROL_PLANE_LABEL: None})
    create_account(space, create_namespace(space))
    written = len(space.aws.history("mxp-backup"))
    with space.aws.fault(Latency(actions=("UpdateAssumeRolePolicy",), seconds=1.5)):
        process = start("apply", "--approve", "--config", str(person.file), env=person.environment)
        space.aws.wait_until(lambda: len(space.aws.history("mxp-backup")) > written, timeout=30)
        space.aws.wait_until(lambda: "UpdateAssumeRolePolicy" not in space.aws.in_flight, timeout=30)
        space.aws.wait_until(lambda: "UpdateAssumeRolePolicy" in space.aws.in_flight, timeout=30)
        process.send_signal(signal.SIGINT)
        told, printed = process.communicate(timeout=30)
    assert (process.returncode, printed.splitlines()[-1]) == (130, LINE)
    assert f"done: {space.roles[0]}: 1 added\n" in told
