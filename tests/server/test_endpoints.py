"""`serve` names each service of AWS that it cannot reach, and serves all the same."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from rig.aws import TokenIssuer
from rig.waiting import eventually
from tests.server.place import OWN, Place, asked, health
from tests.support.sites import ISSUER
from tests.support.unreachable import NO_NAME, black_hole, proxy, refusing, untrusted

if TYPE_CHECKING:
    from pathlib import Path

    from rig.aws import TokenIssuer
    from rig.webhook import Webhook

SERVICES = ("iam", "sts", "eks")
RECOVERY_S = 30.0
LAST_PASS = "mxp_identity_pass_last_success_timestamp_seconds"


def _named(webhook: Webhook) -> dict[str, tuple[str, str]]:
    """The services of its log that are not reached, with host and cause."""
    lines = [one for one in webhook.log() if one.get("event") == "aws_endpoint_unreachable"]
    assert all(
        one["reason"].startswith(f"cannot reach {one['service'].upper()} at {one['host']}") for one in lines
    )
    return {one["service"]: (one["host"], one["cause"]) for one in lines}


def _reachable(webhook: Webhook) -> list[float]:
    metrics = webhook.metrics()
    return [metrics.total("mxp_identity_aws_endpoint_reachable", service=one) for one in SERVICES]


def _in_mode(place: Place, mode: str) -> dict[str, object]:
    configuration = place.configuration(cluster={"name": "spaces-prod"})
    (binding,) = configuration["bindings"]
    binding["namespaces"]["pattern"] = "mxp-*-system"
    return {**configuration, "bindings": [{**binding, "mode": mode}]}


CALLED = {"irsa": {"iam", "sts"}, "pod-identity": {"iam", "sts", "eks"}, "annotate": set[str]()}


@pytest.mark.parametrize("mode", CALLED)
def test_each_mode_calls_the_services_that_the_page_on_private_clusters_names(place: Place, mode: str) -> None:
    place.aws.add_cluster("spaces-prod", ISSUER.value)
    place.come()
    place.aws.forget_calls()
    with place.serving(_in_mode(place, mode)) as webhook:
        eventually(lambda: health(webhook, "readyz") == 200, "it is ready", timeout=RECOVERY_S)
        eventually(
            lambda: webhook.metrics().total("mxp_identity_pass_last_success_timestamp_seconds"), "it passed"
        )
        assert asked(webhook).allowed
        eventually(lambda: {one.service for one in place.aws.log} >= CALLED[mode], "all are called")
    assert {one.service for one in place.aws.log} == CALLED[mode]


def test_each_service_is_named_though_its_credentials_come_from_one_that_is_not_reached(
    place: Place, tmp_path: Path, keys: TokenIssuer
) -> None:
    token = tmp_path / "token"
    token.write_text(keys.token(OWN))
    given = place.aws.environment(role_arn=place.role, token_file=token, base={})
    place.come()
    with ExitStack() as stack:
        at = {
            "sts": stack.enter_context(black_hole()),
            "iam": stack.enter_context(refusing()),
            "eks": stack.enter_context(untrusted(tmp_path)),
        }
        given |= {f"AWS_ENDPOINT_URL_{service.upper()}": url for service, url in at.items()}
        webhook = stack.enter_context(place.serving(_in_mode(place, "pod-identity"), given))
        eventually(lambda: set(_named(webhook)) == set(SERVICES), "all are named", timeout=20)
        hosts = {service: url.partition("//")[2] for service, url in at.items()}
        assert _named(webhook) == {
            "sts": (hosts["sts"], "timed_out"),
            "iam": (hosts["iam"], "connection_refused"),
            "eks": (hosts["eks"], "tls_not_trusted"),
        }
        assert _reachable(webhook) == [0, 0, 0]
        eventually(lambda: health(webhook, "readyz") == 200, "it is ready without AWS")


def test_a_proxy_that_denies_aws_is_named_and_a_review_says_so(place: Place) -> None:
    place.come()
    with proxy(403) as url:
        given = {key: one for key, one in place.aws.environment(base={}).items() if "ENDPOINT_URL" not in key}
        given |= {"HTTPS_PROXY": url, "NO_PROXY": "127.0.0.1", "AWS_REGION": "us-west-2"}
        with place.serving(aws=given) as webhook:
            eventually(lambda: set(_named(webhook)) == {"iam", "sts"}, "both are named", timeout=20)
            assert _named(webhook) == {
                "iam": ("iam.amazonaws.com", "denied_by_proxy"),
                "sts": ("sts.us-west-2.amazonaws.com", "denied_by_proxy"),
            }
            assert any(f"through the proxy {url.partition('//')[2]}" in one for one in asked(webhook).warnings)


def test_a_name_that_is_not_there_is_named_and_what_answers_is_exported(place: Place) -> None:
    place.come()
    with place.serving(aws={**place.aws.environment(base={}), "AWS_ENDPOINT_URL_IAM": NO_NAME}) as webhook:
        eventually(lambda: set(_named(webhook)) == {"iam"}, "it is named", timeout=20)
        assert _named(webhook) == {"iam": ("aws.invalid", "name_not_found")}
        eventually(lambda: _reachable(webhook)[:2] == [0, 1], "STS answers")
