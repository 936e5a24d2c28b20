"""`apply`: the plan, carried out once."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import ConfigFile, Context, OutputForm, ReleaseNamespace, flag, valued
from webhook.cli.output import Done, Output, plan_then_done
from webhook.cli.plan.shown import plan_document, plan_lines

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from webhook.cli.running import Progress
    from webhook.cli.snapshots.session import Session
    from webhook.model.control_planes import ControlPlanes
    from webhook.model.names import ClusterArn, IssuerUrl, RoleArn
    from webhook.planning.plan import Plan

_RETIRE = "Retire what is gone, and do nothing else"
_ISSUER = "Only remove the statements of a cluster that is gone."
_INSTALLATION = "With --retire-issuer: the installation of that cluster. Without it: this one's."
_ROLE = "Only remove our statements from a role that no binding names."
_CLUSTER = "With --retire-issuer: the ARN of that cluster in EKS; statements for its pods are removed too."
_FORMER = "With --retire-role: a binding that the configuration no longer has; again for each."


@dataclass(frozen=True, slots=True)
class _Asked:
    """The options."""

    output: Output
    approved: bool
    installation: str | None
    cluster: ClusterArn | None
    former_bindings: tuple[str, ...]


def apply(  # noqa: PLR0913  options
    config: ConfigFile = None,
    release_namespace: ReleaseNamespace = None,
    context: Context = None,
    output: OutputForm = Output.TABLE,
    *,
    approve: Annotated[bool, flag("--approve", "Remove too what the plan removes.")] = False,
    retire_issuer: Annotated[str | None, valued(_ISSUER, "URL", panel=_RETIRE)] = None,
    installation: Annotated[str | None, valued(_INSTALLATION, "NAME", panel=_RETIRE)] = None,
    cluster: Annotated[str | None, valued(_CLUSTER, "ARN", panel=_RETIRE)] = None,
    retire_role: Annotated[str | None, valued(_ROLE, "ARN", panel=_RETIRE)] = None,
    former_binding: Annotated[list[str] | None, valued(_FORMER, "NAME", panel=_RETIRE)] = None,
) -> None:
    """Print the plan and carry it out once: trust, annotations, and with `--approve` removals.

    It works under the same locks as the running program and may be run beside it. Without `--approve`, removals
    are left to the reconciler and its grace; with it they are done now, each ServiceAccount being looked up once
    more right before. So a person approves what waits for the hourly limit.

    Exit code 0: done, or nothing to do. 1: not all could be done. 3: a statement was not retired for want of
    `--approve`. 4: what is left needs a person.
    """
    from webhook.cli.snapshots.session import Where, run_in_session
    from webhook.model.names import ClusterArn, IssuerUrl, RoleArn

    if retire_issuer is not None and retire_role is not None:
        raise typer.BadParameter("--retire-issuer and --retire-role are two calls")
    for name, given in {"--installation": installation, "--cluster": cluster}.items():
        if given is not None and retire_issuer is None:
            raise typer.BadParameter(f"{name} goes with --retire-issuer")
    if former_binding and retire_role is None:
        raise typer.BadParameter("--former-binding goes with --retire-role")
    # An empty one is a script's variable that was not set: it is refused, and must not apply the whole plan.
    retired: RoleArn | IssuerUrl | None = None
    if retire_role is not None:
        retired = RoleArn(retire_role)
    elif retire_issuer is not None:
        retired = IssuerUrl(retire_issuer)
    in_eks = None if cluster is None else ClusterArn(cluster)
    asked = _Asked(output, approve, installation, in_eks, tuple(former_binding or ()))
    work = _apply if retired is None else partial(_retire, retired)
    sys.exit(run_in_session(Where(config, release_namespace, context), partial(work, asked)))


async def _apply(asked: _Asked, here: Session, progress: Progress) -> Exit:
    from webhook.cli.apply.engine import add_and_repair, open_applier, remove
    from webhook.cli.plan.planning import make_plan_here

    (plan, planes), done = await make_plan_here(here, progress), Done()
    with _printed(asked, plan, planes, done, progress):
        if plan.has_changes:
            progress.step("watching the cluster")
            async with open_applier(here, done) as applier:
                progress.step("writing what is missing")
                await add_and_repair(applier, plan, progress.count)
                if asked.approved:
                    progress.step("removing")
                    await remove(applier, plan, progress.count)
            if plan.removals and not asked.approved and asked.output is Output.TABLE:
                progress.hide()
                left = "left to the reconciler, its grace and its limit, or to --approve"
                sys.stdout.write(f"{left}: {plan.removals} to remove\n")
    return Exit.of(failed=bool(done.failed), problems=bool(plan.problems))


async def _retire(retired: RoleArn | IssuerUrl, asked: _Asked, here: Session, progress: Progress) -> Exit:
    from webhook.cli.apply.retiring import retire
    from webhook.cli.locks import role_lock

    progress.step("reading trust policies")
    (plan, planes), done = await _plan_to_retire(retired, asked, here, progress), Done()
    is_left = plan.has_changes and not asked.approved
    with _printed(asked, plan, planes, done, progress):
        if is_left and asked.output is Output.TABLE:
            sys.stdout.write("nothing is removed without --approve\n")
        elif plan.has_changes and asked.approved:
            progress.step("removing")
            lock = await role_lock(here.connection, here.namespace)
            await retire(plan, here.policies_to_write(), lock, progress.count, done)
    return Exit.of(failed=bool(done.failed), changes=is_left, problems=bool(plan.problems))


async def _plan_to_retire(
    retired: RoleArn | IssuerUrl, asked: _Asked, here: Session, progress: Progress
) -> tuple[Plan, ControlPlanes]:
    from webhook.cli.apply.retirement import GoneCluster, retire_issuer, retire_role
    from webhook.cli.snapshots.release import roles_written_before
    from webhook.model.control_planes import ControlPlanes
    from webhook.model.names import RoleArn

    here = await here.in_eks()
    if isinstance(retired, RoleArn):
        written = await roles_written_before(here.connection, here.namespace)
        account = await here.read_account(progress.count, {retired, *written})
        namespaces, _ = await here.api.namespaces().list()
        plan = retire_role(retired, here.installation, account, asked.former_bindings)
        return plan, ControlPlanes(namespaces.values())
    account = await here.read_account(progress.count)
    gone = GoneCluster(retired, asked.installation or here.installation.name, asked.cluster)
    return retire_issuer(gone, here.installation, account), ControlPlanes()  # of another cluster


def _printed(
    asked: _Asked, plan: Plan, planes: ControlPlanes, done: Done, progress: Progress
) -> AbstractContextManager[None]:
    document = plan_document(plan, planes)
    return plan_then_done(progress.hide, asked.output, plan_lines(plan, planes), document, done)
