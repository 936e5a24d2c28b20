"""Spaces and its users: they create control planes, label them late, strip annotations, delete."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.simulation.api_server import account_of
from tests.simulation.plan import LABEL
from webhook.model.decisions import LiveNamespace
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from tests.simulation.plan import ControlPlane
    from tests.simulation.replica import Replica
    from tests.simulation.world import World
    from webhook.admission.answers import Answer

_WEBHOOK_TIMEOUT = 10.0

_TRIES = 100
"""How often Spaces tries to create a ServiceAccount: where every role is full, no number would do."""


_FOR_EVER = 3
"""Rejections still to come, of a plane that has many, at which Spaces gives up."""


class RefusedError(Exception):
    """The API server did not let an object in; who wanted it tries again."""


async def live(world: World, plane: ControlPlane) -> None:
    """One control plane from its creation to whatever happens to it."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_create(world, plane))
        for at, happening in (
            (plane.stripped_at, _strip),
            (plane.unlabelled_at, _unlabel),
            (plane.deleted_at, _delete),
            (plane.moved_at, _move),
            (plane.account_deleted_at, _delete_account),
        ):
            if at is not None:
                tasks.create_task(_later(at, happening, world, plane))


async def _later(at: float, happening: object, world: World, plane: ControlPlane) -> None:
    await asyncio.sleep(at)
    assert callable(happening)
    await happening(world, plane)


async def _create(world: World, plane: ControlPlane) -> None:
    name = plane.subject.namespace
    await asyncio.sleep(plane.at)
    labels = {} if plane.labelled_after else {LABEL: "ctp"}
    _make_namespace(world, name, labels)
    if plane.labelled_after:
        asyncio.get_running_loop().call_later(plane.labelled_after, _label, world, plane)
    await asyncio.sleep(plane.account_after)
    if plane.dry_run_first:
        with contextlib.suppress(RefusedError):
            await _reviewed(world, plane, "CREATE", None, dry=True)
    await _create_account(world, plane, plane.rejected_times)


def _make_namespace(world: World, name: str, labels: dict[str, str]) -> None:
    now = world.witness.now()
    world.witness.note("spaces", f"creates {name}{'' if labels else ', without the label'}")
    world.api.store("namespaces", name, LiveNamespace(name, f"uid-{name}-{now}", labels, created=now))


async def _create_account(world: World, plane: ControlPlane, rejections: int) -> None:
    """Try until it is there; so many times something after the webhook rejects it, and often means for ever."""
    name = plane.subject.namespace
    for _ in range(_TRIES):
        namespace = world.api.namespaces.get(name)
        if namespace is None or namespace.terminating or name in world.api.accounts:
            return
        try:
            annotation = await _reviewed(world, plane, "CREATE", None)
            if not rejections:
                if world.api.namespaces.get(name) is not None:
                    world.witness.note("spaces", f"ServiceAccount of {name} is there: {annotation}")
                    world.api.store("accounts", name, account_of(name, annotation))
                return
            rejections -= 1
            if rejections == _FOR_EVER:
                break
        except RefusedError as error:
            world.witness.note("spaces", f"cannot create the ServiceAccount of {name}: {error}")
        await asyncio.sleep(random.uniform(0.2, 2.0))
    world.witness.note("spaces", f"gives up on the ServiceAccount of {name}")


def _label(world: World, plane: ControlPlane) -> None:
    _relabel(world, plane, {LABEL: "ctp"})


async def _unlabel(world: World, plane: ControlPlane) -> None:
    _relabel(world, plane, {})


def _relabel(world: World, plane: ControlPlane, labels: dict[str, str]) -> None:
    namespace = world.api.namespaces.get(plane.subject.namespace)
    if namespace is not None:
        world.witness.note("spaces", f"labels of {namespace.name} are {labels}")
        world.api.store("namespaces", namespace.name, replace(namespace, labels=labels))


async def _strip(world: World, plane: ControlPlane) -> None:
    await _annotate(world, plane, None)


async def _move(world: World, plane: ControlPlane) -> None:
    await _annotate(world, plane, random.choice(world.plan.binding.roles).value)


async def _annotate(world: World, plane: ControlPlane, role: str | None) -> None:
    name = plane.subject.namespace
    if name not in world.api.accounts:
        return
    try:
        annotation = await _reviewed(world, plane, "UPDATE", role)
    except RefusedError:
        return
    if name in world.api.accounts:
        world.witness.note("a person", f"sets the annotation of {name} to {role}; it becomes {annotation}")
        world.api.store("accounts", name, account_of(name, annotation))


async def _delete(world: World, plane: ControlPlane) -> None:
    name = plane.subject.namespace
    namespace = world.api.namespaces.get(name)
    if namespace is None:
        return
    world.witness.note("spaces", f"deletes {name}")
    world.api.store("namespaces", name, replace(namespace, terminating=True))
    await asyncio.sleep(random.uniform(0.1, 3))
    if name in world.api.accounts:
        world.api.store("accounts", name, None)
    world.api.store("namespaces", name, None)
    if plane.remade_after is not None:
        await asyncio.sleep(plane.remade_after)
        _make_namespace(world, name, {LABEL: "ctp"} if plane.remade_with_label else {})
        await asyncio.sleep(plane.account_after)
        await _create_account(world, plane, 0)


async def _delete_account(world: World, plane: ControlPlane) -> None:
    name = plane.subject.namespace
    if name not in world.api.accounts:
        return
    world.witness.note("a person", f"deletes the ServiceAccount of {name}")
    world.api.store("accounts", name, None)
    if plane.account_again_after is not None:
        await asyncio.sleep(plane.account_again_after)
        await _create_account(world, plane, 0)


async def _reviewed(
    world: World, plane: ControlPlane, operation: str, annotation: str | None, *, dry: bool = False
) -> str | None:
    """The annotation after all webhooks have seen it. Raises RefusedError."""
    ready = [replica for replica in world.replicas if replica.serves]
    answer = await _answer(random.choice(ready), plane, operation, annotation, dry=dry) if ready else None
    if answer is None:
        if world.plan.fails_closed:
            raise RefusedError("the webhook does not answer")
        return annotation
    if not answer.allowed:
        raise RefusedError(answer.refusal)
    for patch in answer.patch or []:
        value = patch["value"]
        annotation = value[ROLE_ARN_ANNOTATION] if isinstance(value, dict) else value
    return annotation


async def _answer(
    replica: Replica, plane: ControlPlane, operation: str, annotation: str | None, *, dry: bool
) -> Answer | None:
    task = replica.review(operation, plane.subject, annotation, dry=dry)
    gone = asyncio.ensure_future(replica.gone.wait())
    await asyncio.wait([task, gone], timeout=_WEBHOOK_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
    if gone.done() and not task.done() and not replica.process.dead:
        await asyncio.wait([task], timeout=_WEBHOOK_TIMEOUT)  # it ends in good order and answers what it has begun
    gone.cancel()
    return task.result() if task.done() and not task.cancelled() else None
