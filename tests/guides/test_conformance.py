"""docs/run/conformance.md, walked with a cluster's API over HTTP, and the page of assumptions."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rig.aws import AwsStandIn, TokenIssuer
from rig.space import EKS_CLUSTER
from tests import assumptions
from tests.cli.setup.accounts import ISSUER
from tests.guides.shell import Shell
from tests.guides.stage import DOCS, REPOSITORY
from tests.guides.walk import Walk
from tests.support.stub_cluster import StubCluster
from webhook.cli.conformance.assumptions import ASSUMPTIONS
from webhook.cli.conformance.observation import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = DOCS / "run" / "conformance.md"


def test_the_page_of_assumptions_is_current() -> None:
    assert assumptions.PAGE.read_text() == assumptions.current(), "run python -m tests.assumptions"


def test_each_module_that_is_named_is_there() -> None:
    assert [one.module for one in ASSUMPTIONS if not (REPOSITORY / one.module).is_file()] == []


def test_each_verdict_is_explained() -> None:
    assert [one for one in Verdict if f"`{one}`" not in PAGE.read_text()] == []


def test_the_commands_print_what_their_page_shows(tmp_path: Path) -> None:
    assert PAGE.name == "conformance.md"
    keys = TokenIssuer(ISSUER)
    with AwsStandIn() as aws, StubCluster(aws, keys) as cluster:
        aws.add_issuer(keys.url, keys.jwks)
        aws.add_cluster(EKS_CLUSTER, keys.url)
        iam = aws.admin_client("iam")
        iam.create_open_id_connect_provider(Url=keys.url, ClientIDList=["sts.amazonaws.com"])
        cluster.come()
        env = {
            **aws.environment(base={}),
            "KUBECONFIG": str(cluster.kubeconfig(tmp_path, "a-person")),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
            "PYTHONPATH": str(REPOSITORY),
        }
        with Shell(tmp_path, env) as shell, Walk(PAGE, shell) as walk:
            walk.section("What it needs")
            assert iam.list_roles()["Roles"] == []
            walk.section("Run it")
        assert iam.list_roles()["Roles"] == []
    assert set(_verdicts(tmp_path)) == {"holds", "not-asked"}


def _verdicts(folder: Path) -> Iterator[str]:
    for row in json.loads((folder / "conformance.json").read_text())["rows"]:
        yield row["verdict"]
