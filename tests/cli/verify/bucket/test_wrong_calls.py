"""`verify --bucket` called in a wrong way: what is wrong, before anything is asked."""

import pytest

from tests.cli.commands import PLAIN, call
from tests.cli.setup.accounts import said

WRONG: dict[tuple[str, ...], str] = {
    ("--bucket",): "--bucket needs --assume",
    ("--assume", "--bucket", ""): "it is empty",
    ("--bucket", "my-backups"): "--bucket needs --assume",
    ("--assume", "--bucket", "s3://my-backups"): "'s3://my-backups' is not the name of a bucket",
    ("--assume", "--bucket", "MyBackups", "-o", "json"): "it looks like my-backups",
}


@pytest.mark.parametrize("options", WRONG)
def test_what_is_wrong_is_named(options: tuple[str, ...]) -> None:
    answer = call("verify", *options, env=PLAIN)
    assert answer.code == 2
    assert WRONG[options] in said(answer.err)


@pytest.mark.parametrize(
    "options", [("--assume", "--bucket"), ("--bucket", "--assume"), ("--assume", "--bucket", "-o", "json")]
)
def test_it_may_be_without_a_name(options: tuple[str, ...]) -> None:
    answer = call("verify", *options, env=PLAIN)
    assert (answer.code, answer.out) == (1, ""), "it gets as far as the cluster"
    assert "kubeconfig" in answer.err or "KUBERNETES" in answer.err
