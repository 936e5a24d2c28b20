"""docs/use/guides/compliance.md, walked: what the webhook may do, what has access, how fast access ends."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.aws.identity import assume
from rig.space import AUDIENCE
from tests.guides.stage import DOCS, Stage, stage
from tests.proof.records import Record

PAGE = DOCS / "use" / "guides" / "compliance.md"
HOSTS = {
    "orders": "mxp-4a5cbe3d-9c8b-4c3e-8f88-ac6c8d4c3f04-system",
    "payments": "mxp-5b6dcf4e-ad9c-4d4f-9a99-bd7d9e5d4a05-system",
}
SOON_S = 60


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path, {"spaces": HOSTS}) as found:
        yield found


@pytest.mark.rig
@pytest.mark.proof
def test_an_auditor_sees_rights_and_access_and_one_control_plane_is_revoked(
    running: Stage, record: Record
) -> None:
    site, role = running.sites["spaces"], running.role("mxp-backup")
    running.install("spaces", "mxp-identity-webhook")
    for name in HOSTS:
        site.spaces.add(name)
    token = site.cluster.token(HOSTS["orders"], "mxp-controller", audience=AUDIENCE)

    with running.reading(PAGE) as reader:
        reader.section("1. What it may do")
        reader.section("2. What has access, and why")
        (evidence,) = running.folder.glob("access-*.csv")
        assert evidence.read_text().count(",as-wanted,") == len(HOSTS)
        reader.section("3. Make access revocable")
        assert assume(running.aws, role, token).ok

        ran = reader.section("4. Remove access")
        assert assume(running.aws, role, token).code == "AccessDenied"
        assert site.assumed(HOSTS["payments"], role).ok, "the other one keeps its access"
        seconds = sum(command.seconds for command in ran[1:5])
        assert seconds < SOON_S
        assert f"if the four commands take {SOON_S} s," in " ".join(PAGE.read_text().split())
        (statement,) = _older_sessions(running)["Statement"]
        assert statement["Effect"] == "Deny"

        reader.section("5. Grant it again")
        assert assume(running.aws, role, token).ok
    record(
        "a control plane's access is revoked by the guide's four commands, until STS refuses it",
        took_s=round(seconds, 1),
    )


def _older_sessions(running: Stage) -> dict[str, list[dict[str, str]]]:
    iam = running.aws.admin_client("iam")
    found = iam.get_role_policy(RoleName="mxp-backup", PolicyName="AWSRevokeOlderSessions")["PolicyDocument"]
    document: dict[str, list[dict[str, str]]] = json.loads(json.dumps(found))
    return document
