"""The rights that docs/use/commands.md lists are enough for `withdraw`; without one it says which it lacks."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Ran, environment, run
from tests.cli.withdraw.persons import Verbs, person
from tests.cli.withdraw.spaces import Made, a_space, write_notes
from tests.support.variants import variants

PAGE = Path(__file__).parents[3] / "docs" / "use" / "commands.md"
DONE, FAILED, PROBLEMS = 0, 1, 4
KEEP = "--keep-access"

EVERYWHERE: Verbs = {
    "namespaces": ("list",),
    "serviceaccounts": ("get", "list", "patch"),
    "deployments": ("list", "patch"),
    "mutatingwebhookconfigurations": ("list",),
    "validatingadmissionpolicies": ("list",),
}
OWN: Verbs = {
    "pods": ("list",),
    "configmaps": ("list",),
    "leases": ("get", "list", "create", "update", "delete"),
}
IAM = ("iam:GetRole", "iam:UpdateAssumeRolePolicy")
EKS = ("eks:DescribeCluster", *(f"eks:{verb}PodIdentityAssociation" for verb in ("Describe", "Delete")))
ACTIONS = {
    (): (*IAM, *EKS, "eks:ListPodIdentityAssociations"),
    (KEEP,): (*IAM, "eks:DescribeCluster", "eks:DescribePodIdentityAssociation", "eks:ListPodIdentityAssociations",
              "eks:UntagResource"),
}  # fmt: skip
NOT_TO_KEEP = {"get serviceaccounts", "patch serviceaccounts"}
LEFT_UNREAD = {
    "iam:GetRole", "eks:DescribeCluster", "eks:ListPodIdentityAssociations", "eks:DescribePodIdentityAssociation"
}  # fmt: skip
"""What the rest is done without: a problem that needs a person."""

KUBERNETES = [f"{verb} {resource}" for resource, verbs in {**EVERYWHERE, **OWN}.items() for verb in verbs]


FEW = ("delete leases", "eks:ListPodIdentityAssociations")


def _less(rights: Verbs, options: tuple[str, ...], without: str) -> dict[str, tuple[str, ...]]:
    lacking = {without} | (NOT_TO_KEEP if options else set())
    return {
        resource: tuple(verb for verb in verbs if f"{verb} {resource}" not in lacking)
        for resource, verbs in rights.items()
    }


def _withdraw(here: Made, options: tuple[str, ...], without: str = "") -> Ran:
    """With the listed rights, or all but one, after the product has made again what a run before has removed."""
    applied = run("apply", "--config", str(here.file), env=environment(here.space))
    assert applied.code in {DONE, PROBLEMS}, applied
    write_notes(here)
    actions = [one for one in ACTIONS[options] if one != without]
    env = person(here.space, _less(EVERYWHERE, options, without), _less(OWN, options, without), actions)
    return run("withdraw", "--config", str(here.file), "--approve", *options, env=env, timeout=150)


@pytest.fixture(scope="module")
def here() -> Iterator[Made]:
    with a_space() as found:
        yield found


@pytest.mark.rig
@pytest.mark.parametrize("without", variants([*KUBERNETES, *ACTIONS[()]], *FEW))
def test_without_a_right_it_says_which_and_does_not_end_well(here: Made, without: str) -> None:
    refused = _withdraw(here, (), without)
    assert refused.code == (PROBLEMS if without in LEFT_UNREAD else FAILED), refused
    _names(refused, without)
    if "leases" not in without:
        assert here.left()["leases"], "they name what is not done"


@pytest.mark.rig
def test_without_the_right_to_remove_tags_access_cannot_be_released(here: Made) -> None:
    refused = _withdraw(here, (KEEP,), "eks:UntagResource")
    assert refused.code == FAILED, refused
    _names(refused, "eks:UntagResource")


def _names(refused: Ran, right: str) -> None:
    lack = (
        f"not authorized to perform: {right} "
        if ":" in right
        else 'cannot {} resource "{}"'.format(*right.split())
    )
    assert lack in refused.out + refused.err, (right, refused)
    assert "Traceback" not in refused.err


@pytest.mark.rig
@pytest.mark.parametrize("options", ACTIONS, ids=["nothing", "access"])
def test_the_listed_rights_are_enough(here: Made, options: tuple[str, ...]) -> None:
    done = _withdraw(here, options)
    assert done.code == DONE, done
    assert here.managed_sids() == []
    assert here.left()["leases"] == []


def test_each_right_is_on_the_page() -> None:
    (section,) = re.findall(r"^## withdraw\n(.*?)(?=^## )", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (rights,) = re.findall(r"\*\*Rights\.\*\*(.*)", section, re.DOTALL)
    for action in {*ACTIONS[()], *ACTIONS[KEEP,]}:
        assert f"`{action}`" in rights
    for resource in {*EVERYWHERE, *OWN}:
        assert resource in rights.lower()
