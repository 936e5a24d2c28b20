"""`python -m rig.endpoints`: write the tables of AWS's hosts into the page on private clusters.

They are the hosts that the SDK calls, read from requests that are about to be sent; none is sent.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import EndpointVariantError

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path(__file__).parents[1] / "docs" / "run" / "private-clusters.md"

REGIONS = {
    "aws": "us-west-2",
    "aws-cn": "cn-north-1",
    "aws-us-gov": "us-gov-west-1",
    "aws-eusc": "eusc-de-east-1",
    "aws-iso": "us-iso-east-1",
    "aws-iso-b": "us-isob-east-1",
    "aws-iso-e": "eu-isoe-west-1",
    "aws-iso-f": "us-isof-south-1",
}
"""A region of each partition."""

FIPS = ("aws", "aws-us-gov")
"""Partitions for which AWS lists FIPS endpoints; for others the SDK puts a name together that need not exist."""

_TABLE = re.compile(r"(?<=<!-- hosts -->\n).*?(?=<!-- end of hosts -->)", re.DOTALL)

_CALLS: dict[str, tuple[str, dict[str, str]]] = {
    "iam": ("get_account_summary", {}),
    "sts": ("get_caller_identity", {}),
    "eks": ("list_clusters", {}),
    "eks-auth": ("assume_role_for_pod_identity", {"clusterName": "a", "token": "a"}),
}


class _AboutToBeSentError(Exception):
    """Ends a call; `url` is where it would have gone."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


def host(service: str, region: str, *, fips: bool = False, dual_stack: bool = False) -> str | None:
    """The host that the SDK calls; None where it knows no such endpoint."""

    def stop(request: Any, **_: Any) -> None:
        raise _AboutToBeSentError(request.url)

    session = botocore.session.Session()
    session.set_config_variable("ignore_configured_endpoint_urls", True)  # noqa: FBT003  the SDK's
    config = Config(use_fips_endpoint=fips, use_dualstack_endpoint=dual_stack)
    operation, parameters = _CALLS[service]
    try:
        client = session.create_client(
            service, region_name=region, aws_access_key_id="a", aws_secret_access_key="b", config=config
        )
        client.meta.events.register("before-send", stop)
        getattr(client, operation)(**parameters)
    except EndpointVariantError:
        return None
    except _AboutToBeSentError as error:
        return error.url.split("/")[2]
    raise RuntimeError("the call was sent")


def tables() -> str:
    """The tables of the page."""
    iam = [
        (partition, _shown(host("iam", region)), _shown(host("iam", region, dual_stack=True)))
        for partition, region in REGIONS.items()
    ]
    regional = [
        (
            partition,
            _of_both(region, dual_stack=False),
            _of_both(region, dual_stack=True),
            _in_region(host("eks-auth", region), region),
        )
        for partition, region in REGIONS.items()
    ]
    fips = [
        (
            partition,
            service,
            *(_in_region(_fips(service, partition, dual), REGIONS[partition]) for dual in (False, True)),
        )
        for partition in FIPS
        for service in _CALLS
    ]
    return "\n".join(
        (
            _table(("partition", "IAM", "IAM, dual-stack"), iam),
            _table(("partition", "STS and EKS (`SERVICE`: `sts`, `eks`)", "dual-stack", "EKS Auth"), regional),
            _table(("partition", "service", "FIPS", "FIPS, dual-stack"), fips),
        )
    )


def current() -> str:
    """The page with the tables as they should be."""
    return _TABLE.sub(lambda _: f"\n{tables()}\n", PAGE.read_text())


def _fips(service: str, partition: str, dual_stack: bool) -> str | None:  # noqa: FBT001  of two columns
    return host(service, REGIONS[partition], fips=True, dual_stack=dual_stack)


def _of_both(region: str, *, dual_stack: bool) -> str:
    """The one pattern of both services' hosts. Raises ValueError where there are two."""
    found = {
        _in_region((host(service, region, dual_stack=dual_stack) or "").replace(service, "SERVICE", 1), region)
        for service in ("sts", "eks")
    }
    (pattern,) = found
    return pattern


def _in_region(name: str | None, region: str) -> str:
    return _shown(name and name.replace(region, "REGION"))


def _shown(name: str | None) -> str:
    return f"`{name}`" if name else "none"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return (
        "\n".join("| " + " | ".join(line) + " |" for line in lines)
        .replace("| --- |", "|---|")
        .replace(" --- |", "---|")
        + "\n"
    )


if __name__ == "__main__":
    PAGE.write_text(current())
