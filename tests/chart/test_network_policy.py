"""What reaches the program's ports, and what it reaches."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.charts import only, rendered, right

SUBNETS = [{"ipBlock": {"cidr": "10.0.0.0/24"}}, {"ipBlock": {"cidr": "10.0.1.0/24"}}]
PROMETHEUS = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


def _from(**networks: Any) -> dict[str, Any]:
    """The sources of each port; None for any."""
    values = {**right(), "networkPolicy": {"enabled": True, **networks}}
    policy = only(rendered(values), "NetworkPolicy")
    return {port["port"]: rule.get("from") for rule in policy["spec"]["ingress"] for port in rule["ports"]}


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        ({}, {"https": None, "metrics": None}),
        ({"reviewsFrom": SUBNETS}, {"https": SUBNETS, "metrics": None}),
        ({"metricsFrom": PROMETHEUS}, {"https": None, "metrics": PROMETHEUS}),
        (
            {"reviewsFrom": SUBNETS, "metricsFrom": PROMETHEUS},
            {"https": SUBNETS, "metrics": PROMETHEUS},
        ),
    ],
    ids=["any peer", "reviews", "metrics", "both"],
)
def test_each_port_is_reached_from_where_the_values_say(
    networks: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert _from(**networks) == expected
