"""The page on private clusters has the hosts that the SDK calls, and the causes that the program names."""

from __future__ import annotations

import re

import pytest

from rig.endpoints import PAGE, REGIONS, current, host
from webhook.model.aws_errors import Cause


@pytest.mark.proof
def test_the_hosts_on_the_page_are_those_that_the_sdk_calls() -> None:
    assert PAGE.read_text() == current(), "run python -m rig.endpoints"


@pytest.mark.parametrize("partition", REGIONS)
def test_each_partition_has_one_host_of_iam_and_regional_ones_of_the_others(partition: str) -> None:
    region = REGIONS[partition]
    text = PAGE.read_text()
    assert f"| {partition} | `{host('iam', region)}` |" in text
    for service in ("sts", "eks", "eks-auth"):
        assert region in (host(service, region) or "")


def test_each_cause_is_explained() -> None:
    head, *rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert (head, sorted(rows)) == ("cause", sorted(Cause))
