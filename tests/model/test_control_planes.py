"""Control planes are found by the names that people gave them, or not at all: nothing is guessed."""

import pytest

from webhook.model.control_planes import GROUP_LABEL, NAME_LABEL, Choice, ControlPlanes
from webhook.model.decisions import LiveNamespace
from webhook.model.errors import InvalidNameError


def _host(number: int, name: str, group: str = "", *, terminating: bool = False) -> LiveNamespace:
    labels = {NAME_LABEL: name} | ({GROUP_LABEL: group} if group else {})
    return LiveNamespace(f"mxp-{number}-system", str(number), labels, terminating)


PLANES = ControlPlanes(
    [
        _host(1, "orders", "default"),
        _host(2, "orders", "team-b"),
        _host(3, "billing", "default"),
        _host(4, "again", "default", terminating=True),
        _host(5, "again", "default"),
        _host(6, "old"),
        _host(7, "old"),
        _host(8, "leaving", "team-b", terminating=True),
        _host(9, "default", "default"),
        _host(10, "mxp-3-system", "team-b"),
        LiveNamespace("default", "d", {}),
        LiveNamespace("velero", "v", {}),
    ]
)

FOUND: dict[str, tuple[Choice, set[str] | None]] = {
    "all": (Choice(), None),
    "one by its name": (Choice("billing"), {"mxp-3-system"}),
    "one by name and group": (Choice("orders", "team-b"), {"mxp-2-system"}),
    "the living one of two": (Choice("again"), {"mxp-5-system"}),
    "one that is being deleted": (Choice("leaving"), {"mxp-8-system"}),
    "a control plane before a namespace of its name": (Choice("default"), {"mxp-9-system"}),
    "a host namespace": (Choice("mxp-6-system"), {"mxp-6-system"}),
    "any namespace": (Choice("velero"), {"velero"}),
    "one that is named like a host namespace": (Choice("mxp-3-system", "team-b"), {"mxp-10-system"}),
    "a namespace as such": (Choice(namespace="default"), {"default"}),
    "all of a group": (Choice(group="team-b"), {"mxp-2-system", "mxp-8-system", "mxp-10-system"}),
}

NOT_FOUND: dict[Choice, str] = {
    Choice("ordres"): 'no control plane or namespace "ordres"; did you mean orders?',
    Choice("x"): 'no control plane or namespace "x"',
    Choice(""): 'no control plane or namespace ""',
    Choice("billing", "team-b"): 'no control plane "billing" in group "team-b"; there is default (mxp-3-system)',
    Choice("velero", "default"): 'no control plane "velero"',
    Choice("orders"): (
        'control plane "orders" is there 2 times: default (mxp-1-system), team-b (mxp-2-system); use --group'
    ),
    Choice("old"): (
        'control plane "old" is there 2 times: no group (mxp-6-system), no group (mxp-7-system); use --namespace'
    ),
    Choice("mxp-3-system"): (
        '"mxp-3-system" is the name of a control plane, team-b (mxp-10-system), and the host namespace of '
        "another, default/billing; use --group or --namespace"
    ),
    Choice(namespace="mxp-33-system"): 'no namespace "mxp-33-system"; did you mean mxp-3-system?',
    Choice(group="team-c"): 'no control plane in group "team-c"; groups: default, team-b',
}


@pytest.mark.parametrize("case", FOUND)
def test_what_is_chosen_is_found(case: str) -> None:
    choice, expected = FOUND[case]
    assert PLANES.chosen(choice) == expected


@pytest.mark.parametrize("choice", NOT_FOUND, ids=str)
def test_what_is_not_there_or_not_clear_is_refused(choice: Choice) -> None:
    with pytest.raises(InvalidNameError) as refused:
        PLANES.chosen(choice)
    assert str(refused.value) == NOT_FOUND[choice]


def test_a_namespace_chooses_alone() -> None:
    with pytest.raises(InvalidNameError, match="leave out the name and --group"):
        Choice("orders", namespace="mxp-1-system")


def test_a_control_plane_is_shown_by_what_is_known_of_it() -> None:
    titles = [PLANES.at(name).title for name in ("mxp-1-system", "mxp-6-system", "velero", "gone")]
    assert titles == ["default/orders", "old", "", ""]
    assert PLANES.at("mxp-6-system").fields == {"controlPlane": "old", "group": None}
