"""Each page with commands has a test that walks it, no link is dead, and what a page names is there."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

from tests.guides.links import dead_links, links, names
from tests.guides.page import commands
from tests.guides.stage import DOCS, REPOSITORY
from webhook.cli.app import app
from webhook.config import contract

GENERATED = {
    "docs/evidence/assumptions.md",
    "docs/evidence/bench.md",
    "docs/evidence/burst.md",
    "docs/evidence/modes.md",
    "docs/evidence/proof.md",
    "docs/run/diagnosis.md",
    "docs/run/versions.md",
}
"""Pages that programs write; their commands are those that were run to write them."""

WALKED_BY = {
    "README.md": "tests/guides/test_readme.py",
    "charts/mxp-identity-webhook/README.md": "tests/guides/test_chart_readme.py",
    "docs/use/commands.md": "tests/guides/test_commands.py",
    "docs/use/guides/compliance.md": "tests/guides/test_compliance.py",
    "docs/use/guides/control-plane-migration.md": "tests/guides/test_control_plane_migration.py",
    "docs/use/guides/disaster-recovery.md": "tests/guides/test_disaster_recovery.py",
    "docs/use/guides/other-workloads.md": "tests/guides/test_other_workloads.py",
    "docs/use/guides/rollback.md": "tests/guides/test_rollback.py",
    "docs/use/guides/watch-first.md": "tests/guides/test_watch_first.py",
    "docs/run/conformance.md": "tests/guides/test_conformance.py",
    "docs/run/get-the-command.md": "tests/node/test_the_command.py",
    "docs/run/install.md": "tests/node/test_pages.py",
    "docs/run/release.md": "tests/node/test_release.py",
    "docs/run/upgrade.md": "tests/guides/test_upgrade.py",
    "docs/understand/rig.md": "tests/node/test_pages.py",
}

NOT_RUN = {
    "docs/use/guides/control-plane-migration.md": [
        "`up` is Upbound's command line and needs real control planes at both ends."
    ],
    "docs/run/release.md": ["cosign needs a key of yours, or your identity."],
}
"""Blocks that cannot be run here, with the reasons that their pages give."""

PAGES = sorted(
    str(path.relative_to(REPOSITORY))
    for path in (*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md"), *(REPOSITORY / "charts").rglob("*.md"))
    if str(path.relative_to(REPOSITORY)) not in GENERATED
)
ALL = sorted({*PAGES, *GENERATED})
OF_OTHERS = {
    "ignore_changes",
    "aws_eks_pod_identity_association",
    "apiserver_admission_webhook_request_total",
    "external_labels",
    "runbook_url",
}
"""Names of Terraform, of the API server and of Prometheus."""

OF_KUBERNETES = {"Ready", "Terminating"}
"""What the architecture's page shows as code and is no class of the program."""
PROGRAM = "\n".join(
    path.read_text() for folder in ("webhook", "certs") for path in (REPOSITORY / folder).rglob("*.py")
)
COMMANDS: dict[str, Any] = dict(vars(typer.main.get_command(app))["commands"])


def test_every_page_with_commands_is_walked_and_no_other() -> None:
    with_commands = [page for page in PAGES if commands(REPOSITORY / page)]
    assert with_commands == sorted(WALKED_BY)
    for page, test in WALKED_BY.items():
        text = (REPOSITORY / test).read_text()
        assert f'"{Path(page).name}"' in text, f"{test} does not name {page}"


def test_only_what_cannot_be_run_here_is_left_out_and_its_page_says_why() -> None:
    left_out = {
        page: list(dict.fromkeys(command.not_run for command in commands(REPOSITORY / page) if command.not_run))
        for page in PAGES
    }
    assert {page: reasons for page, reasons in left_out.items() if reasons} == NOT_RUN


def _spans(*names: str) -> list[tuple[str, str]]:
    """Commands within sentences, with their pages; code within blocks is no part of it."""
    found = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", (REPOSITORY / page).read_text(), flags=re.MULTILINE | re.DOTALL)
        words = "|".join(names)
        found += [(page, span) for span in re.findall(rf"`((?:{words}) [a-z][^`]*)`", text)]
    return found


@pytest.mark.parametrize(("page", "span"), _spans("mxp-identity"))
def test_a_command_of_ours_in_a_sentence_exists_with_its_options(page: str, span: str) -> None:
    name = span.split()[1]
    assert name in COMMANDS, page
    options = {option for each in COMMANDS[name].params for option in each.opts}
    assert set(re.findall(r"--[a-z-]+", span)) <= options, page


@pytest.mark.parametrize(("page", "span"), _spans("make"))
def test_a_make_target_in_a_sentence_exists(page: str, span: str) -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    assert re.search(rf"^{span.split()[1]}:", makefile, re.MULTILINE), page


def test_a_guide_has_no_command_in_a_sentence_that_it_does_not_run() -> None:
    for page, span in _spans("kubectl", "helm", "aws"):
        if "guides" in page:
            assert any(span in command.text for command in commands(REPOSITORY / page)), page


def test_every_key_of_the_configuration_is_on_its_page() -> None:
    text = (DOCS / "run" / "configuration.md").read_text()
    keys = {
        field.alias or name
        for section in vars(contract).values()
        if isinstance(section, type) and issubclass(section, BaseModel) and section is not contract.Expression
        for name, field in section.model_fields.items()
    }
    assert {"pruneGrace", "restartsAtATime", "keyFile"} <= keys
    assert {key for key in keys if not re.search(rf"[`.]{key}[`\[.]", text)} == set()


def test_the_readmes_make_test_is_what_continuous_integration_runs() -> None:
    """It cannot run within itself."""
    assert "`make test`" in (REPOSITORY / "README.md").read_text()
    assert "\nmake test\n" in (REPOSITORY / ".ci" / "run").read_text()


@pytest.mark.parametrize("page", ALL)
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(page: str) -> None:
    assert dead_links(REPOSITORY / page) == []


def test_a_dead_link_and_a_dead_anchor_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Other\n## What it `may` do\n## Twice\n## Twice\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n[1](other.md#what-it-may-do) [2](other.md#twice-1) [3](#page) [4](https://example.org/#none)\n"
        "[5](gone.md) [6](other.md#gone) [7](#gone)\n```text\n[8](gone.md)\n```\n"
    )
    assert dead_links(page) == ["gone.md", "other.md#gone", "#gone"]


def test_every_page_is_reached_from_the_index() -> None:
    reached, waiting = set[Path](), [DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += [(page.parent / link.path).resolve() for link in links(page) if link.path.endswith(".md")]
    assert [str(page) for page in sorted(DOCS.rglob("*.md")) if page not in reached] == []


@pytest.mark.parametrize("page", ALL)
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    path = re.compile(r"(bench|certs|charts|docs|rig|tests|webhook)(/[\w.-]+)*/?")
    named = {name for name in names(REPOSITORY / page) if path.fullmatch(name)}
    assert {name for name in named if not (REPOSITORY / name).exists()} == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_log_event_metric_and_outcome_that_a_page_names_is_there(page: str) -> None:
    """The page of metrics is compared with a scrape elsewhere; outcomes have a prefix of their own."""
    metrics = (DOCS / "run" / "metrics.md").read_text()
    for name in sorted(names(REPOSITORY / page) - OF_OTHERS):
        if re.fullmatch(r"mxp_identity_[a-z_]+", name):
            assert f"| `{name.removesuffix('_count')}` |" in metrics, name
        elif re.fullmatch(r"[a-z]+(_[a-z]+)+", name):
            assert re.search(rf"\b({name}|{re.sub('^(granted|would)_', '', name)})\b", PROGRAM), name


def test_every_class_and_method_that_the_architecture_names_is_in_the_program() -> None:
    shown = names(DOCS / "understand" / "architecture.md")
    named = {name for name in shown if re.fullmatch(r"[A-Z]\w+(\.\w+)?", name)} - OF_KUBERNETES
    assert "RoleWriter" in named
    for name in named:
        kind, _, method = name.partition(".")
        assert re.search(rf"^class {kind}\b", PROGRAM, re.MULTILINE), name
        assert not method or f"def {method}(" in PROGRAM, name
