"""Commands that cannot do what they are asked: one clear message, no traceback, and an exit code."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from rig.aws.faults import Latency
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.permissions import PROGRAM
from rig.space import EKS_CLUSTER, Space
from tests.cli.commands import Person, environment, run
from tests.e2e.observe import annotation, is_trusted
from tests.e2e.replicas import api_server
from tests.e2e.scenes import create_account, create_namespace

MIGRATE = ("migrate", "backup", "--to", "pod-identity")
COMMANDS = (("report",), ("plan",), ("apply",), ("verify",), MIGRATE)
BINDING = {
    "name": "backup",
    "serviceAccount": "mxp-controller",
    "namespaces": {"pattern": "mxp-*-system"},
    "mode": "irsa",
    "roles": ["arn:aws:iam::123456789012:role/mxp-backup"],
}
NOWHERE = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "a", "user": {"token": "t"}}],
    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    "current-context": "a",
}
PROGRESS = {
    "asking AWS who this is, and which cluster",
    "describing associations",
    "listing namespaces and ServiceAccounts",
    "listing namespaces, ServiceAccounts and pods",
    "reading trust policies",
}
PLAIN = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "configuration.yaml"
    path.write_text(yaml.safe_dump({"namespace": OWN_NAMESPACE, "bindings": [BINDING]}))
    return str(path)


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(NOWHERE))
    return {**PLAIN, "KUBECONFIG": str(path)}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_without_a_kubeconfig_it_says_what_to_set(command: tuple[str, ...], file: str) -> None:
    answer = run(*command, "--config", file, env=PLAIN)
    assert answer.code == 1
    _is_one_line(answer.err, "no way to the API server", "set KUBECONFIG")


def test_a_cluster_that_is_not_there_is_named_with_its_address(file: str, nowhere: dict[str, str]) -> None:
    for call in ([*command, *where] for command in (("plan",), MIGRATE) for where in (["--config", file], [])):
        answer = run(*call, env=nowhere)
        assert answer.code == 1
        _is_one_line(answer.err, "127.0.0.1", "Connection refused")


def test_a_context_that_the_kubeconfig_does_not_have_is_named(file: str, nowhere: dict[str, str]) -> None:
    answer = run("plan", "--config", file, "--context", "production", env=nowhere)
    assert answer.code == 1
    _is_one_line(answer.err, "production")


class _Page(BaseHTTPRequestHandler):
    """A login page, such as a proxy answers."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>please log in</html>")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's
        """Nothing on the terminal."""


def test_a_server_that_is_no_api_server_is_told(file: str, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        cluster = {"name": "a", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps({**NOWHERE, "clusters": [cluster]}))
        answer = run("plan", "--config", file, env={**PLAIN, "KUBECONFIG": str(path)})
        server.shutdown()
    assert answer.code == 1
    _is_one_line(answer.err, "is there another server in between?")


def test_a_configuration_that_is_wrong_is_explained_by_its_key(tmp_path: Path, nowhere: dict[str, str]) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump({"bindings": [{**BINDING, "role": "x"}]}))
    answer = run("plan", "--config", str(path), env=nowhere)
    assert answer.code == 2
    assert "bindings.0.role: there is no such key" in answer.err
    assert "Traceback" not in answer.err


def test_help_names_every_command_and_completion_is_there() -> None:
    helped = run("--help", env={**PLAIN, "COLUMNS": "120"})
    assert helped.code == 0
    for command in (*(command for command, *_ in COMMANDS), "serve", "version", "--install-completion"):
        assert command in helped.out


def test_serve_loads_nothing_that_only_other_commands_need() -> None:
    program = "import sys, webhook.cli.app, webhook.serving.assembly; print([m for m in sys.modules if m in {}])"
    unwanted = {"webhook.cli.progress", "webhook.survey.session", "webhook.diagnosis.verdict"}
    done = subprocess.run(
        [sys.executable, "-c", program.format(sorted(unwanted))], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with api_server() as cluster, Space(cluster=cluster, eks_lag=0) as running:
        yield running


@pytest.mark.rig
def test_without_credentials_for_aws_it_says_so(space: Space) -> None:
    person = Person(space)
    person.environment = {
        key: value for key, value in environment(space).items() if not key.startswith(("AWS_ACCESS", "AWS_SECRET"))
    }
    for command in COMMANDS:
        answer = person(*command)
        assert answer.code == 1, command
        _is_one_line(answer.err, "AWS: GetCallerIdentity: Unable to locate credentials")


@pytest.mark.rig
@pytest.mark.parametrize("command", [("plan",), MIGRATE], ids=lambda command: command[0])
def test_without_a_right_in_the_cluster_it_names_verb_and_resource(space: Space, command: tuple[str, ...]) -> None:
    """The program's own ServiceAccount may not list ConfigMaps."""
    kubeconfig = str(space.cluster.kubeconfig_for(OWN_NAMESPACE, PROGRAM))
    answer = run(*command, env={**environment(space), "KUBECONFIG": kubeconfig})
    assert answer.code == 1
    _is_one_line(answer.err, "403", 'cannot list resource "configmaps"')


@pytest.mark.rig
@pytest.mark.parametrize("command", [("plan",), MIGRATE], ids=lambda command: command[0])
def test_ctrl_c_ends_it_with_one_line(space: Space, command: tuple[str, ...]) -> None:
    person = Person(space, cluster={"name": EKS_CLUSTER})
    argv = [sys.executable, "-m", "webhook", *command, "--config", str(person.file)]
    with space.aws.fault(Latency(actions=("GetRole",), seconds=2)):
        process = subprocess.Popen(argv, env=person.environment, stderr=subprocess.PIPE, text=True)
        space.aws.wait_until(lambda: "GetRole" in space.aws.in_flight, timeout=30)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=30)
    assert process.returncode == 130
    _is_one_line(printed, "interrupted")


@pytest.mark.rig
def test_ctrl_c_in_the_middle_of_a_write_lets_it_end_and_a_second_run_does_the_rest(space: Space) -> None:
    person, namespace = Person(space), create_namespace(space)
    create_account(space, namespace)
    argv = [sys.executable, "-m", "webhook", "apply", "--config", str(person.file)]
    with space.aws.fault(Latency(actions=("UpdateAssumeRolePolicy",), seconds=1.5)):
        process = subprocess.Popen(
            argv, env=person.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        space.aws.wait_until(lambda: "UpdateAssumeRolePolicy" in space.aws.in_flight, timeout=30)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=30)
    assert process.returncode == 130
    assert printed.splitlines()[-1].startswith("interrupted")
    assert is_trusted(space, namespace)

    assert person("apply").code == 0
    assert annotation(space, namespace) == space.roles[0]


def _is_one_line(printed: str, *words: str) -> None:
    """Whether one line says what went wrong, after those that say how far it was by then."""
    *before, line = printed.splitlines()
    assert set(before) <= PROGRESS, printed
    for word in words:
        assert word in line
