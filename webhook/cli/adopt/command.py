"""`adopt`: what people made by hand becomes managed."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OutputForm, ReleaseNamespace, flag
from webhook.cli.output import Done, Output, counted, plan_then_done, section, subject_fields, titled
from webhook.cli.plan.shown import problem_lines, problems_document
from webhook.model.text import legible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook.cli.adopt.planning import Adoption, Asked
    from webhook.cli.adopt.rules import RoleAdoption, Taken
    from webhook.cli.output import Line
    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.iam.trust_policy import Place
    from webhook.model.control_planes import ControlPlanes
    from webhook.model.names import Subject

_BINDING = "Only the roles and ServiceAccounts of this binding. Without it: of all."
_KEEP = "A statement, by its Sid, or an association, by its id, that stays as it is. May be given more than once."
_WILDCARDS = "Replace wildcards too, by the ServiceAccounts that bindings want; all others lose access."

_MOST_SHOWN = 20
"""ServiceAccounts that lose access without using it; the document has all of them."""


def adopt(  # noqa: PLR0913  each is an option
    binding: Annotated[str | None, typer.Argument(metavar="BINDING", help=_BINDING, show_default=False)] = None,
    config: ConfigFile = None,
    release_namespace: ReleaseNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
    *,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", metavar="SID", help=_KEEP, show_default=False)
    ] = None,
    replace_wildcards: Annotated[bool, flag("--replace-wildcards", _WILDCARDS)] = False,
    approve: Annotated[bool, flag("--approve", "Do it.")] = False,
) -> None:
    """Take over trust and associations that were made by hand, without a moment without access. First: the plan.

    Statements that name nothing but bound ServiceAccounts of this cluster move into the managed statement, and
    associations that give a bound role are tagged as managed. All else stays as it is; the plan says why. The next
    run continues one that was cut off.

    Exit code 0: nothing is left to take over. 1: not all could be done. 3: there is something to do. 4: there is
    nothing to do, but problems that only a person can correct.
    """
    from webhook.cli.adopt.planning import Asked
    from webhook.cli.snapshots.session import Where, run_in_session

    asked = Asked(binding, frozenset(keep or ()), replace_wildcards)
    work = partial(_adopt, asked=asked, approved=approve, output=output)
    sys.exit(run_in_session(Where(config, release_namespace, context), work))


async def _adopt(here: Session, progress: Progress, *, asked: Asked, approved: bool, output: Output) -> Exit:
    from webhook.cli.adopt.adopting import adopt as carry_out

    plan, done = await _look(here, asked, progress), Done()
    left, lines = plan, [*adoption_lines(plan)]
    if plan.has_changes and not approved:
        lines.append(("nothing is changed without --approve", ""))
    with plan_then_done(progress.hide, output, lines, adoption_document(plan), done):
        if plan.has_changes and approved:
            progress.step("taking over")
            await carry_out(here, plan, progress.count, done)
            left = await _look(here, asked, progress)
    if left.has_changes and approved and not done.failed and output is Output.TABLE:
        sys.stdout.write(f"left to do, by running it again: {summary(left)}\n")
    return Exit.of(failed=bool(done.failed), changes=left.has_changes, problems=bool(left.problems))


async def _look(here: Session, asked: Asked, progress: Progress) -> Adoption:
    """Read cluster and account, and plan. Raises InvalidNameError for a name that there is not."""
    from webhook.cli.adopt.planning import check_asked, plan_adoption
    from webhook.cli.snapshots.inspection import Inspection

    cluster, account = await here.read(progress)
    check_asked(asked, here.installation, account)
    accounts: dict[Subject, str | None] = {}
    if asked.replace_wildcards:
        progress.step("listing all ServiceAccounts")
        accounts = await Inspection(here.connection).all_accounts()
    return plan_adoption(here.installation, cluster, account, accounts, asked)


def adoption_lines(plan: Adoption) -> Iterator[Line]:
    """The plan, a line at a time: ~ changed, - loses access, i stays, ! for a person."""
    for role in plan.roles:
        yield from _role(role, plan.planes)
    yield from section("associations", _associations(plan))
    yield from problem_lines(plan.problems, (), plan.planes)
    yield summary(plan), "bold"


def _associations(plan: Adoption) -> Iterator[Line]:
    for one in plan.tagged:
        yield f"  ~ {titled(one.subject, plan.planes)}  {one.id} becomes managed", "yellow"
    for left in plan.untagged:
        yield f"  i {titled(left.found.subject, plan.planes)}  {left.found.id} stays: {left.why}", "dim"


def summary(plan: Adoption) -> str:
    """How much there is to do, in one line."""
    taken = [one for role in plan.roles for one in role.taken]
    losing = sum(len(role.losing) for role in plan.roles)
    counts = {
        "statements to move": sum(not one.patterns for one in taken),
        "wildcards to replace": sum(bool(one.patterns) for one in taken),
        "associations to tag": len(plan.tagged),
        **({"ServiceAccounts that lose access": losing} if losing else {}),
        "left as they are": sum(len(role.left) for role in plan.roles) + len(plan.untagged),
        "problems": len(plan.problems),
    }
    return counted(counts)


def _role(role: RoleAdoption, planes: ControlPlanes) -> Iterator[Line]:
    yield str(role.role), "bold"
    for one in role.taken:
        yield _taken(one, planes)
    unused = [one for one in role.losing if not one.is_annotated]
    for losing in [*(one for one in role.losing if one.is_annotated), *unused[:_MOST_SHOWN]]:
        why = "its annotation names the role" if losing.is_annotated else "its annotation does not name the role"
        style = "red" if losing.is_annotated else "yellow"
        yield f"  - {titled(losing.subject, planes)}  loses access; {why}", style
    if len(unused) > _MOST_SHOWN:
        yield f"  - and {len(unused) - _MOST_SHOWN} more, whose annotations do not name the role", "yellow"
    if role.replaces:
        yield "  - and every ServiceAccount that is created later and that no binding selects", "yellow"
    for left in role.left:
        yield f"  i {left.place} stays: {left.why}", "dim"
    if role.has_changes:
        size = f"{role.before.size()} -> {role.after.size()} characters"
        fit = f"room for {role.room_before} -> {role.room_after} more"
        yield f"  {role.own.sid}: {size}, {fit}", ""
    yield "", ""


def _taken(one: Taken, planes: ControlPlanes) -> Line:
    subjects = ", ".join(titled(subject, planes) for subject in sorted(one.subjects))
    if not one.patterns:
        return f"  ~ {one.place} moves: {subjects}", "yellow"
    patterns = legible(one.wildcards)
    return f"  ~ {one.place} is replaced: {patterns} by {subjects or 'no ServiceAccount'}", "yellow"


def adoption_document(plan: Adoption) -> dict[str, Any]:
    """The plan in plain values; keys and their meaning are in docs/use/adopt.md."""
    planes = plan.planes
    return {
        "changes": plan.has_changes,
        "roles": [
            {
                "role": role.role.value,
                "sid": role.own.sid,
                "taken": [
                    {
                        **_place(one.place),
                        "wildcards": list(one.patterns),
                        "serviceAccounts": [subject_fields(subject, planes) for subject in sorted(one.subjects)],
                    }
                    for one in role.taken
                ],
                "losing": [
                    {**subject_fields(one.subject, planes), "annotated": one.is_annotated} for one in role.losing
                ],
                "left": [{**_place(one.place), "why": one.why} for one in role.left],
                "characters": {"before": role.before.size(), "after": role.after.size()},
                "room": {"before": role.room_before, "after": role.room_after},
            }
            for role in plan.roles
        ],
        "associations": {
            "tagged": [
                {**subject_fields(one.subject, planes), "id": one.id, "role": one.role} for one in plan.tagged
            ],
            "left": [
                {
                    **subject_fields(one.found.subject, planes),
                    "id": one.found.id,
                    "role": one.found.role,
                    "why": one.why,
                }
                for one in plan.untagged
            ],
        },
        "problems": problems_document(plan.problems, planes),
    }


def _place(place: Place) -> dict[str, Any]:
    return {"statement": place.index + 1, "sid": place.sid}
