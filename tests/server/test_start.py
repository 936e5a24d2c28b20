"""`serve` starts whatever is away, writes nothing before it knows which cluster it is in, and then catches up."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from rig.aws import Hang, TokenIssuer
from rig.pki import Authority
from rig.waiting import eventually
from rig.webhook import Webhook, run_serve
from tests.server.place import OWN, Place, asked, health
from tests.support.sites import ISSUER

if TYPE_CHECKING:
    from pathlib import Path

OTHER_ISSUER = f"https://oidc.eks.us-west-2.amazonaws.com/id/{'F0' * 16}"
UNREACHABLE = "http://127.0.0.1:9"
RECOVERY_S = 30.0
BUDGET_S = 3.0


def stopped(webhook: Webhook, reason: str) -> float:
    """What the metric says of stopped writes."""
    return webhook.metrics().total("mxp_identity_writes_stopped", reason=reason)


def test_without_the_api_server_and_aws_it_serves_is_not_ready_and_ends_by_a_signal_at_once(place: Place) -> None:
    with place.serving(aws={**place.aws.environment(base={}), "AWS_ENDPOINT_URL": UNREACHABLE}) as webhook:
        assert health(webhook) == 200
        assert health(webhook, "readyz") == 503
        assert asked(webhook).allowed
        time.sleep(5)
        assert health(webhook) == 200
        began = time.monotonic()
    assert time.monotonic() - began < 10


def test_once_the_api_server_comes_it_is_ready_and_the_control_plane_is_trusted(place: Place) -> None:
    with place.serving() as webhook:
        place.come()
        eventually(lambda: health(webhook, "readyz") == 200, "it is ready", timeout=RECOVERY_S)
        eventually(place.trusted, "the control plane is trusted", timeout=RECOVERY_S)


def test_until_the_issuer_is_known_a_review_is_annotated_says_why_and_nothing_is_written(place: Place) -> None:
    place.token, place.api.issuer = "opaque", None
    place.come()
    with place.serving() as webhook:
        eventually(lambda: health(webhook, "readyz") == 200, "it is ready", timeout=RECOVERY_S)
        began, reply = time.monotonic(), asked(webhook)
        assert time.monotonic() - began < BUDGET_S + 2
        assert reply.annotation == place.role
        assert any("issuer of this cluster's tokens is not known yet" in warning for warning in reply.warnings)
        assert place.aws.count("GetRole") == 0
        place.api.issuer = ISSUER.value
        eventually(place.trusted, "the control plane is trusted", timeout=RECOVERY_S)


def test_the_own_tokens_issuer_is_enough_where_discovery_is_refused(place: Place) -> None:
    place.api.issuer = None
    place.come()
    with place.serving(place.configuration(cluster={"issuer": ISSUER.value})):
        eventually(place.trusted, "the control plane is trusted", timeout=RECOVERY_S)


def test_an_issuer_copied_from_another_cluster_is_refused_by_the_own_tokens_issuer(
    place: Place, tmp_path: Path
) -> None:
    place.api.issuer = None
    place.come()
    certificate, key = Authority("a").issue("webhook").write(tmp_path, "serving")
    file = tmp_path / "configuration.yaml"
    configuration = place.configuration(
        cluster={"issuer": OTHER_ISSUER},
        certificates={"source": "files", "certFile": str(certificate), "keyFile": str(key)},
        server={"host": "127.0.0.1", "port": 0, "metricsPort": 0},
    )
    file.write_text(json.dumps(configuration))
    done = run_serve(file, place.environment())
    assert done.returncode == 2
    assert f"cluster.issuer: is {OTHER_ISSUER}, but the API server's tokens are issued by {ISSUER}" in done.stderr


def test_a_wrong_issuer_found_late_stops_writes_and_says_so_and_reviews_go_on(place: Place) -> None:
    place.token = "opaque"
    with place.serving(place.configuration(cluster={"issuer": OTHER_ISSUER})) as webhook:
        place.come()
        eventually(lambda: stopped(webhook, "issuer") == 1, "writes are stopped", timeout=RECOVERY_S)
        eventually(lambda: health(webhook, "readyz") == 200, "it is ready", timeout=RECOVERY_S)
        reply = asked(webhook)
        assert reply.annotation == place.role
        assert any(OTHER_ISSUER in warning for warning in reply.warnings)
        assert place.aws.count("UpdateAssumeRolePolicy") == 0
        assert health(webhook) == 200


def test_without_a_token_and_with_discovery_refused_a_configured_issuer_is_used_with_a_warning(
    place: Place,
) -> None:
    place.token, place.api.issuer = "opaque", None
    place.come()
    with place.serving(place.configuration(cluster={"issuer": ISSUER.value})) as webhook:
        eventually(place.trusted, "the control plane is trusted", timeout=RECOVERY_S)
        assert [one for one in webhook.log() if one.get("event") == "issuer_not_compared"]


def test_its_own_role_found_late_stops_writes_and_says_so_and_reviews_go_on(
    place: Place, keys: TokenIssuer, tmp_path: Path
) -> None:
    place.aws.add_issuer(keys.url, keys.jwks)
    iam = place.aws.admin_client("iam")
    iam.create_open_id_connect_provider(Url=keys.url, ClientIDList=["sts.amazonaws.com"])
    trust = keys.trust(OWN, account=place.aws.account)
    iam.update_assume_role_policy(RoleName="mxp-backup", PolicyDocument=trust)
    token = tmp_path / "token"
    token.write_text(place.token)
    place.come()
    place.aws.forget_calls()
    place.aws.switch_on(Hang())
    with place.serving(aws=place.aws.environment(role_arn=place.role, token_file=token, base={})) as webhook:
        place.aws.clear_faults()
        eventually(lambda: stopped(webhook, "role") == 1, "writes are stopped", timeout=RECOVERY_S)
        reply = asked(webhook)
        assert reply.annotation == place.role
        assert any("the role that this program runs as" in warning for warning in reply.warnings)
        assert place.aws.count("UpdateAssumeRolePolicy") == 0
        assert health(webhook) == 200
