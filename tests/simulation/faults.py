"""How each kind of fault is done to the world, and undone."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from tests.simulation import people
from tests.simulation.aws import stale_reads
from tests.support.simulated_iam import Trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.simulation.plan import Fault
    from tests.simulation.processes import Process
    from tests.simulation.world import World

_TIMES = {
    "throttling": (Trouble.THROTTLED, ("read", "write", "quota")),
    "iam_errors": (Trouble.REFUSED, ("read", "write")),
    "lost_iam_answers": (Trouble.ANSWER_LOST, ("read", "write")),
    "lost_iam_requests": (Trouble.HANGS, ("read", "write")),
    "late_iam_writes": (Trouble.APPLIED_LATE, ("write",)),
}
_STEPS_OF_A_REMOVAL = 120
"""Steps of a process from the question to the API server to the write's end, about."""

_WHILE = {
    "iam_outage": (Trouble.REFUSED, ("read", "write", "quota")),
    "denied": (Trouble.ACCESS_DENIED, ("read", "write")),
}


async def happen(world: World, fault: Fault) -> None:
    """Let one fault happen, and end when it is over."""
    if fault.kind in _TIMES:
        trouble, operations = _TIMES[fault.kind]
        if fault.kind == "iam_errors" and fault.number % 2:
            trouble, operations = Trouble.FAILS_AFTERWARDS, ("write",)
        for operation in operations:  # each by itself: else the questions for the quota would meet them all
            world.iam.have(trouble, operation, times=1 + fault.number % 5)
    elif fault.kind in _WHILE:
        trouble, operations = _WHILE[fault.kind]
        switch = world.iam.have(trouble, *operations)
        await asyncio.sleep(min(fault.seconds, 20))
        switch.off()
    elif fault.kind in _OTHERS:
        world.witness.met(fault.kind, "world", f"for {fault.seconds:.1f} s")
        await _OTHERS[fault.kind](world, fault)


async def _slow_iam(world: World, fault: Fault) -> None:
    world.iam.latency = 0.5 + fault.number / 1000 * 1.7
    await asyncio.sleep(fault.seconds)
    world.iam.latency = world.plan.latency


async def _stale_reads(world: World, _: Fault) -> None:
    world.calmers.append(stale_reads(world.iam, random.choice([2.0, 10.0, 30.0, 50.0])))


async def _api_errors(world: World, fault: Fault) -> None:
    world.api.trouble.error = 0.1 + fault.number / 1000 * 0.5
    await asyncio.sleep(fault.seconds)
    world.api.trouble.error = 0.0


async def _lost_api_answers(world: World, fault: Fault) -> None:
    world.api.trouble.lost = 0.05 + fault.number / 1000 * 0.3
    await asyncio.sleep(fault.seconds)
    world.api.trouble.lost = 0.0


async def _api_outage(world: World, fault: Fault) -> None:
    world.api.trouble.down = True
    world.api.break_watches()
    await asyncio.sleep(fault.seconds)
    world.api.trouble.down = False


async def _slow_api(world: World, fault: Fault) -> None:
    world.api.trouble.slow = 0.1 + fault.number / 1000 * 2.5
    await asyncio.sleep(fault.seconds)
    world.api.trouble.slow = 0.0


async def _silent_watch(world: World, fault: Fault) -> None:
    world.api.trouble.watch_delay = fault.seconds
    await asyncio.sleep(fault.seconds)
    world.api.trouble.watch_delay = 0.0


async def _expired_watch(world: World, fault: Fault) -> None:  # noqa: ARG001
    world.api.forget_old_versions()


async def _cut_lists(world: World, fault: Fault) -> None:
    names = sorted(world.api.namespaces)
    cut = frozenset(names if fault.number % 2 else names[::2])
    world.api.cut(cut, from_reads=fault.number % 4 > 1)
    await asyncio.sleep(fault.seconds * 4)
    world.api.cut(frozenset(), from_reads=False)


async def _crash(world: World, fault: Fault) -> None:
    slot = fault.number % len(world.replicas)
    victim = world.replicas[slot]
    victim.process.after_steps(fault.number % 60, victim.kill)
    await victim.gone.wait()
    await asyncio.sleep(fault.seconds)
    if world.replicas[slot] is victim:  # it was not started again
        world.start_replica(slot)


async def _rolling_restart(world: World, fault: Fault) -> None:
    slot = fault.number % len(world.replicas)
    old = world.replicas[slot]
    if old.gone.is_set():
        return
    if fault.number % 2:
        world.start_replica(slot)
        await old.terminate()
    else:
        await old.terminate()
        if world.replicas[slot] is old:
            world.start_replica(slot)


async def _stall(world: World, fault: Fault) -> None:
    process = world.replicas[fault.number % len(world.replicas)].process
    process.after_steps(fault.number % 60, lambda: process.stop(fault.seconds))
    await asyncio.sleep(fault.seconds)


async def _clock_jump(world: World, fault: Fault) -> None:
    process = world.replicas[fault.number % len(world.replicas)].process
    process.after_steps(fault.number % 60, lambda: process.jump(fault.seconds * 3))


async def _leader_crash(world: World, fault: Fault) -> None:
    process = await _next_to_remove(world)
    victim = next((one for one in world.replicas if one.process is process), None)
    if victim is None:
        return
    victim.process.after_steps(fault.number % _STEPS_OF_A_REMOVAL, victim.kill)
    await victim.gone.wait()
    await asyncio.sleep(fault.seconds)
    slot = world.replicas.index(victim) if victim in world.replicas else None
    if slot is not None:
        world.start_replica(slot)


async def _leader_stall(world: World, fault: Fault) -> None:
    process = await _next_to_remove(world)
    if process is not None:
        process.after_steps(fault.number % _STEPS_OF_A_REMOVAL, lambda: process.stop(fault.seconds))
        await asyncio.sleep(fault.seconds)


async def _next_to_remove(world: World) -> Process | None:
    """Wait until a leader asks about a subject whose grace is over; None where that takes too long."""
    heard: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
    world.witness.removers.append(heard)
    await asyncio.wait({heard}, timeout=world.plan.rules.grace + 2 * world.plan.interval)
    if heard.done():
        return heard.result()
    heard.cancel()
    return None


async def _terraform(world: World, fault: Fault) -> None:
    role = random.choice(world.plan.binding.roles)
    await people.terraform(world.iam, world.witness, role, min(fault.seconds / 10, 2.0), fault.number)


async def _hand_edit(world: World, fault: Fault) -> None:  # noqa: ARG001
    people.hand_edit(world.iam, world.witness, random.choice(world.plan.binding.roles))


_OTHERS: dict[str, Callable[[World, Fault], Awaitable[None]]] = {
    "slow_iam": _slow_iam,
    "stale_reads": _stale_reads,
    "api_errors": _api_errors,
    "lost_api_answers": _lost_api_answers,
    "api_outage": _api_outage,
    "slow_api": _slow_api,
    "silent_watch": _silent_watch,
    "expired_watch": _expired_watch,
    "cut_lists": _cut_lists,
    "crash": _crash,
    "rolling_restart": _rolling_restart,
    "stall": _stall,
    "clock_jump": _clock_jump,
    "leader_crash": _leader_crash,
    "leader_stall": _leader_stall,
    "terraform": _terraform,
    "hand_edit": _hand_edit,
}
