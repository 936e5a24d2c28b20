"""Commands that cannot do what they are asked: one clear message, no traceback, and an exit code."""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from rig.aws import AwsStandIn, Deny
from rig.kubernetes.registration import OWN_NAMESPACE
from rig.pki import Authority
from rig.space import EKS_CLUSTER, Space
from tests.cli.commands import BINDING, PLAIN, Person, call, environment, run, run_on_terminal
from tests.e2e.replicas import api_server
from tests.support.credential_plugins import EXPIRED, FAR_AWAY, counted, giving, kubeconfig
from tests.support.misbehaving import PAGE, Between
from tests.support.misbehaving import answer as answer_of

COMMANDS = ("report", "plan", "adopt", "apply", "verify", "restart", "migrate", "setup", "withdraw")
SETUP = ("--bucket", "my-backups", "--region", "us-west-2")
ARGUMENTS = {"setup": SETUP, "migrate": ("backup", "--to", "pod-identity")}
ISSUER = f"https://oidc.eks.us-west-2.amazonaws.com/id/{'A1' * 16}"
NOWHERE = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "a", "user": {"token": "t"}}],
    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
    "current-context": "a",
}
PROGRESS = {
    "asking the API server for its issuer",
    "reading the account",
    "asking AWS for the caller and the cluster",
    "connecting to AWS",
    "listing namespaces and ServiceAccounts",
    "listing namespaces, ServiceAccounts and pods",
    "reading trust policies",
    "looking for the release and its replicas",
}
CANNOT_REACH = "Error: cannot reach https://127.0.0.1:1: connection refused\n"


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


def _call(command: str, file: str) -> list[str]:
    return [command, *ARGUMENTS.get(command, ()), *(() if command == "setup" else ("--config", file))]


@pytest.mark.parametrize("command", [*COMMANDS, "serve"])
def test_without_a_kubeconfig_the_error_names_what_to_set(command: str, file: str) -> None:
    answer = (run if command == "serve" else call)(*_call(command, file), env=PLAIN)
    assert answer.code == 1
    assert answer.err == "Error: no kubeconfig found; set KUBECONFIG\n"


NO_KUBECONFIG = {
    "a list": b"- a\n- b\n",
    "plain text": b"to be done",
    "binary": bytes(range(128, 256)),
    "nested too deep": b"a: " + b"[" * 5000,
    "a number for an address": json.dumps(
        {**NOWHERE, "clusters": [{"name": "a", "cluster": {"server": 6443}}]}
    ).encode(),
}


@pytest.mark.parametrize("holds", NO_KUBECONFIG)
def test_a_file_that_is_no_kubeconfig_is_named(file: str, tmp_path: Path, holds: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_bytes(NO_KUBECONFIG[holds])
    answer = call("plan", "--config", file, env={**PLAIN, "KUBECONFIG": str(path)})
    assert answer.code == 1
    assert answer.err == f"Error: {path} is not a kubeconfig; set KUBECONFIG\n"


PLUGINS: dict[str, tuple[list[str], str]] = {
    "that is not installed": (["no-such-plugin"], "No such file or directory: 'no-such-plugin'"),
    "that fails": (["sh", "-c", "echo 'the SSO session has expired' >&2; exit 3"], "the SSO session has expired"),
    "that answers nothing": (["true"], "failed to decode process output"),
    "that answers without a token": (
        ["echo", '{"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential", "status": {}}'],
        "missing token or clientCertificateData",
    ),
}


def _with_plugin(folder: Path, argv: list[str], server: str = "https://127.0.0.1:1") -> dict[str, str]:
    """An environment whose kubeconfig asks a plugin for credentials, as EKS's does."""
    return {**PLAIN, "KUBECONFIG": str(kubeconfig(folder / "kubeconfig", argv, server))}


@pytest.mark.parametrize("command", ["plan", "serve"])
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_credential_plugin_that_fails_is_reported_in_its_own_words(
    file: str, tmp_path: Path, command: str, plugin: str
) -> None:
    argv, words = PLUGINS[plugin]
    answer = (run if command == "serve" else call)(*_call(command, file), env=_with_plugin(tmp_path, argv))
    assert answer.code == 1
    _is_one_line(answer.err, "Error: the kubeconfig's exec plugin gives no credentials: ", words)


def test_a_credential_plugin_that_fails_on_a_terminal_prints_the_reason_there(file: str, tmp_path: Path) -> None:
    env = _with_plugin(tmp_path, ["sh", "-c", "echo 'the SSO session has expired' >&2; exit 3"])
    code, written = run_on_terminal("plan", "--config", file, env=env)
    assert code == 1
    assert "the SSO session has expired" in written
    assert written.splitlines()[-1].endswith("exec plugin gives no credentials: its reason is printed above")
    assert "Traceback" not in written


FAILS_LATER = f"[ $n -le 2 ] && {giving(EXPIRED)} || {{ echo 'the SSO session has expired' >&2; exit 3; }}"


def test_a_credential_plugin_that_fails_later_is_reported_in_its_own_words(file: str, tmp_path: Path) -> None:
    with _a_server(200, json.dumps({"issuer": ISSUER})) as address:
        env = _with_plugin(tmp_path, counted(tmp_path / "asked", FAILS_LATER), address)
        answer = call("plan", "--config", file, env=env)
        assert answer.code == 1
        words = (
            "Error: the kubeconfig's exec plugin gives no credentials: ",
            "the SSO session has expired",
        )
        _is_one_line(answer.err, *words)

        (tmp_path / "asked").unlink()
        code, written = run_on_terminal("plan", "--config", file, env=env)
    assert code == 1
    assert "the SSO session has expired" in written
    assert written.splitlines()[-1].endswith("exec plugin gives no credentials: its reason is printed above")
    assert "Traceback" not in written


def test_a_credential_plugin_that_works_is_asked(file: str, tmp_path: Path) -> None:
    told = call("plan", "--config", file, env=_with_plugin(tmp_path, ["sh", "-c", giving(FAR_AWAY)]))
    assert told.err == CANNOT_REACH


@pytest.mark.parametrize("command", COMMANDS)
def test_a_cluster_that_is_not_there_is_named_with_its_address(
    command: str, file: str, nowhere: dict[str, str]
) -> None:
    answer = call(*_call(command, file), env=nowhere)
    assert answer.code == 1
    assert answer.err.splitlines(keepends=True)[-1] == CANNOT_REACH


NOT_REACHED = {
    "https://no-such-host.invalid": "cannot reach https://no-such-host.invalid: no such host",
    "https://{silent}": "cannot reach https://{silent}: TLS failed: wrong version number",
    "https://{untrusted}": "cannot reach https://{untrusted}: its certificate is not trusted: ",
}


@pytest.mark.parametrize("server", NOT_REACHED)
def test_why_a_cluster_is_not_reached_is_a_few_words(file: str, tmp_path: Path, server: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*Authority().issue("api").write(tmp_path, "api"))
    path = tmp_path / "kubeconfig"
    with _a_server(200, "{}") as plain, _a_server(200, "{}", tls) as untrusted:
        names = {"silent": plain.partition("//")[2], "untrusted": untrusted.partition("//")[2]}
        cluster = {"name": "a", "cluster": {"server": server.format(**names)}}
        path.write_text(json.dumps({**NOWHERE, "clusters": [cluster]}))
        answer = call("plan", "--config", file, env={**PLAIN, "KUBECONFIG": str(path)})
    assert answer.code == 1
    _is_one_line(answer.err, f"Error: {NOT_REACHED[server].format(**names)}")


KUBECONFIGS: dict[str, tuple[dict[str, object], str]] = {
    "no current context": ({"current-context": ""}, "kubeconfig {path} has no current context; available: a"),
    "a current context that is not there": (
        {"current-context": "zz"},
        'context "zz" not found; available: a ({path})',
    ),
    "a cluster that is not there": ({"clusters": []}, 'context "a" names the cluster "a", which is not in {path}'),
    "a user that is not there": ({"users": []}, 'context "a" names the user "a", which is not in {path}'),
}


@pytest.mark.parametrize("case", KUBECONFIGS)
def test_what_a_kubeconfig_names_and_does_not_have_is_named(file: str, tmp_path: Path, case: str) -> None:
    change, words = KUBECONFIGS[case]
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps({**NOWHERE, **change}))
    answer = call("plan", "--config", file, env={**PLAIN, "KUBECONFIG": str(path)})
    assert (answer.code, answer.err) == (1, f"Error: {words.format(path=path)}\n")


def test_a_kubeconfig_that_is_no_yaml_is_named_with_the_place(file: str, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("clusters:\n\t- a\n")
    answer = call("plan", "--config", file, env={**PLAIN, "KUBECONFIG": str(path)})
    assert (answer.code, answer.err) == (1, f"Error: {path}:2:1: invalid YAML\n")


def test_a_cluster_that_is_not_there_is_named_without_a_file_too(nowhere: dict[str, str]) -> None:
    answer = call("plan", env=nowhere)
    assert answer.code == 1
    assert answer.err.splitlines(keepends=True)[-1] == CANNOT_REACH


NOT_A_NAME = {
    ("--bucket", "s3://my-backups"): "is not the name of a bucket",
    ("--region", "us-west-2a"): "is not the name of a region",
    ("--role", "arn:aws:iam::123456789012:role/mxp-backup"): "is not the name of a role",
    ("--issuer", "oidc.eks.us-west-2.amazonaws.com"): "is not an issuer URL",
    ("--release-namespace", "Mxp"): "is not the name of a namespace",
    ("--role", "mxp-identity-webhook"): "is --own-role and a workload's role at once",
}


@pytest.mark.parametrize("options", NOT_A_NAME)
def test_setup_refuses_what_is_no_name_before_any_call(options: tuple[str, str]) -> None:
    answer = call("setup", *SETUP, *options, env=PLAIN)
    assert answer.code == 2
    _is_one_line(answer.err, "Error: ", options[1], NOT_A_NAME[options])


KEY = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
NO_WAY_TO_AWS = {
    "no credentials": ({}, "Error: no AWS credentials; set AWS_PROFILE or run `aws configure`"),
    "a profile that is not there": (
        {"AWS_PROFILE": "nope"},
        'Error: AWS profile "nope" not found; available: none',
    ),
    "half a key": (
        {"AWS_ACCESS_KEY_ID": "a"},
        "Error: no AWS credentials: Partial credentials found in env, missing: AWS_SECRET_ACCESS_KEY",
    ),
    "no server at the address": (
        {**KEY, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
        "Error: cannot reach STS at 127.0.0.1:1: connection refused; see AWS_ENDPOINT_URL",
    ),
    "an address that is none": ({**KEY, "AWS_ENDPOINT_URL": "nonsense"}, "Invalid endpoint: nonsense"),
    "a port that is none": ({**KEY, "AWS_ENDPOINT_URL": "http://127.0.0.1:99999"}, "Port out of range 0-65535"),
}


@pytest.mark.parametrize("name", NO_WAY_TO_AWS)
def test_setup_that_cannot_connect_to_aws_prints_the_reason(name: str) -> None:
    given, words = NO_WAY_TO_AWS[name]
    nothing = {"AWS_EC2_METADATA_DISABLED": "true"}
    answer = call("setup", *SETUP, "--issuer", ISSUER, env={**PLAIN, **nothing, **given})
    assert answer.code == 1
    _is_one_line(answer.err, "Error: ", words)


AWS_ANSWERS = {
    "403 and a page": (
        answer_of(403, PAGE),
        "Error: GetCallerIdentity: HTTP 403, text/html, begins '<!DOCTYPE",
    ),
    "407 and a page": (
        answer_of(407, PAGE),
        "does a proxy answer? See AWS_ENDPOINT_URL, HTTPS_PROXY and NO_PROXY",
    ),
    "an empty success": (answer_of(200, b""), "HTTP 200, text/html, no body"),
    "a page as a success": (answer_of(200, PAGE), "HTTP 200, text/html"),
    "XML that stops": (answer_of(200, b"<GetCallerIdentityResponse><Get", "text/xml"), "HTTP 200, text/xml"),
}


@pytest.mark.parametrize("name", AWS_ANSWERS)
def test_an_answer_that_is_not_awss_is_one_line(name: str) -> None:
    how, words = AWS_ANSWERS[name]
    with Between(0) as between:
        between.misbehave(how)
        given = {**PLAIN, **KEY, "AWS_ENDPOINT_URL": between.url}
        answer = call("setup", *SETUP, "--issuer", ISSUER, env=given)
    assert answer.code == 1
    _is_one_line(answer.err, words)


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://["])
def test_a_proxy_that_is_none_is_one_line(proxy: str) -> None:
    given = {**PLAIN, **KEY, "AWS_ENDPOINT_URL": "https://sts.example", "HTTPS_PROXY": proxy}
    answer = call("setup", *SETUP, "--issuer", ISSUER, env=given)
    assert answer.code == 1
    _is_one_line(answer.err, "Error: ")


def test_setup_that_fails_in_the_middle_prints_how_far_it_came_and_continues_from_there() -> None:
    with AwsStandIn() as aws:
        words = ("setup", *SETUP, "--issuer", ISSUER, "--approve")
        with aws.fault(Deny(actions=("PutRolePolicy",))):
            answer = call(*words, env={**PLAIN, **aws.environment()})
        assert answer.code == 1
        done = answer.out.count("done: ")
        assert done > 0
        assert answer.err.splitlines()[-1].startswith("Error: PutRolePolicy: AccessDenied: ")
        assert f"{done} of 5 steps were done before, and the same command continues from there" in answer.err
        answer = call(*words, env={**PLAIN, **aws.environment()})
        assert (answer.code, answer.out.count("done: ")) == (0, 5 - done)


def test_a_context_that_the_kubeconfig_does_not_have_is_named(file: str, nowhere: dict[str, str]) -> None:
    answer = call("plan", "--config", file, "--context", "production", env=nowhere)
    assert (answer.code, answer.err) == (2, 'Error: context "production" not found; available: a\n')


@contextmanager
def _a_server(status: int, page: str, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that has the same answer for every request."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's
            """Nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_api_server_that_does_not_accept_the_credentials_is_named(file: str, tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    with _a_server(401, json.dumps({"message": "Unauthorized"})) as address:
        cluster = {"name": "a", "cluster": {"server": address}}
        path.write_text(json.dumps({**NOWHERE, "clusters": [cluster]}))
        answer = call("plan", "--config", file, env={**PLAIN, "KUBECONFIG": str(path)})
    assert answer.code == 1
    assert answer.err == f"Error: {address} does not accept the credentials: 401 Unauthorized\n"


@pytest.mark.parametrize(
    ("status", "words"), [(200, "is there another server in between"), (502, "please log in")]
)
def test_a_server_that_is_no_api_server_is_reported(file: str, tmp_path: Path, status: int, words: str) -> None:
    path = tmp_path / "kubeconfig"
    with _a_server(status, "<html>\n<body>please\nlog in</body>\n</html>") as address:
        cluster = {"name": "a", "cluster": {"server": address}}
        path.write_text(json.dumps({**NOWHERE, "clusters": [cluster]}))
        answer = call("plan", "--config", file, env={**PLAIN, "KUBECONFIG": str(path)})
    assert answer.code == 1
    _is_one_line(answer.err, words)


def test_a_configuration_that_is_wrong_is_explained_by_its_key(tmp_path: Path, nowhere: dict[str, str]) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump({"bindings": [{**BINDING, "role": "x"}]}))
    answer = call("plan", "--config", str(path), env=nowhere)
    assert answer.code == 2
    assert 'Error: binding "backup": unknown key role; did you mean roles?' in answer.err.splitlines()
    assert "Traceback" not in answer.err


def test_a_file_is_checked_without_a_cluster(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump({"bindings": [{**BINDING, "roles": ["mxp-backup"]}]}))
    answer = call("plan", "--config", str(path), env=PLAIN)
    assert answer.code == 2
    assert "Error: binding \"backup\": roles.0: 'mxp-backup' is not the ARN of an IAM role" in answer.err


def test_serve_loads_nothing_that_only_other_commands_need() -> None:
    program = "import sys, webhook.cli.app, webhook.server.assembly; print([m for m in sys.modules if m in {}])"
    unwanted = {"rich.live", "webhook.cli.snapshots.session", "webhook.cli.verify.diagnosis"}
    done = subprocess.run(
        [sys.executable, "-c", program.format(sorted(unwanted))], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def space() -> Iterator[Space]:
    with api_server() as cluster, Space(cluster=cluster) as running:
        yield running


@pytest.mark.rig
def test_missing_credentials_for_aws_are_reported(space: Space) -> None:
    person = Person(space, cluster={"name": EKS_CLUSTER})
    person.environment = {
        key: value for key, value in environment(space).items() if not key.startswith(("AWS_ACCESS", "AWS_SECRET"))
    }
    for command in sorted(set(COMMANDS) - {"setup"}):
        answer = person(command, *ARGUMENTS.get(command, ()))
        assert answer.code == 1, command
        _is_one_line(answer.err, "Error: no AWS credentials; set AWS_PROFILE or run `aws configure`")


def _is_one_line(printed: str, *words: str) -> None:
    """Whether one line says what went wrong, after those that say how far it was by then."""
    *before, line = printed.splitlines()
    assert set(before) <= PROGRESS, printed
    for word in words:
        assert word in line


LEFT_EMPTY = [
    ("plan", "--context"),
    ("plan", "--release-namespace"),
    ("verify", "--group"),
    ("report", "--namespace"),
    ("apply", "--approve", "--retire-role"),
    ("apply", "--approve", "--retire-issuer"),
    ("setup", "--approve", "--role"),
]


@pytest.mark.parametrize("words", LEFT_EMPTY, ids=" ".join)
def test_an_option_that_a_script_left_empty_is_refused_and_not_passed_over(
    nowhere: dict[str, str], words: tuple[str, ...]
) -> None:
    refused = call(*words, "", env=nowhere)
    assert (refused.code, refused.out) == (2, "")
    assert f"'{words[-1]}'" in refused.err
    assert refused.err.endswith(": it is empty; give a value, or leave the option out\n")


@pytest.mark.parametrize(
    ("option", "says"), [("--retire-role", "ARN of an IAM role"), ("--retire-issuer", "issuer URL")]
)
def test_an_option_of_apply_left_blank_by_a_script_is_refused_and_comes_to_no_apply(
    file: str, nowhere: dict[str, str], option: str, says: str
) -> None:
    refused = call("apply", "--config", file, option, " ", "--approve", env=nowhere)
    assert (refused.code, refused.out) == (2, "")
    (line,) = refused.err.splitlines()
    assert line.startswith("Error: ' ' is not")
    assert says in line
