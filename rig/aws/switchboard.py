"""Which faults are on, and which of them a call meets. Thread-safe."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from rig.aws.calls import ApiCall, Clock
from rig.aws.faults import Fault, Latency, Throttle

F = TypeVar("F", bound=Fault)


class Bucket:
    """A token bucket that starts full; `rate` tokens a second, at most `burst`."""

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._tokens, self._at = burst, clock()

    def take(self) -> bool:
        """Take one token if there is one."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Switch:
    """A fault that was switched on. `used` counts the calls that met it."""

    def __init__(self, number: int, fault: Fault, clock: Clock) -> None:
        self.number = number
        self.fault = fault
        self.used = 0
        self.cleared: Future[None] = Future()
        self.bucket = Bucket(fault.rate, fault.burst, clock) if isinstance(fault, Throttle) else None

    @property
    def spent(self) -> bool:
        """Whether `times` is used up."""
        return self.fault.times is not None and self.used >= self.fault.times


class Met:
    """The faults one call meets."""

    def __init__(self, switches: list[Switch], latency: float, *, throttled: bool) -> None:
        self._switches = switches
        self.latency = latency
        self.throttled = throttled

    def first(self, kind: type[F]) -> F | None:
        """Return the first fault of a kind."""
        return next((switch.fault for switch in self._switches if isinstance(switch.fault, kind)), None)

    def switch(self, fault: Fault) -> Switch:
        """Return the switch of a fault that was met."""
        return next(switch for switch in self._switches if switch.fault is fault)


class Switchboard:
    """The faults that are on. `seed` decides every random draw."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._switches: dict[int, Switch] = {}
        self._count = 0

    def on(self, fault: Fault) -> Switch:
        """Switch a fault on until `off`, or until its `times` are used up."""
        with self._lock:
            self._count += 1
            switch = Switch(self._count, fault, self._clock)
            self._switches[switch.number] = switch
            return switch

    def off(self, switch: Switch) -> None:
        """Switch a fault off; calls that hang on it go on."""
        with self._lock:
            self._switches.pop(switch.number, None)
            if not switch.cleared.done():
                switch.cleared.set_result(None)

    def clear(self) -> None:
        """Switch every fault off."""
        for switch in self.active:
            self.off(switch)

    @contextmanager
    def during(self, fault: Fault) -> Iterator[Switch]:
        """Keep a fault on for a `with` block."""
        switch = self.on(fault)
        try:
            yield switch
        finally:
            self.off(switch)

    @property
    def active(self) -> list[Switch]:
        """The switches that are on, in the order they were switched on."""
        with self._lock:
            return list(self._switches.values())

    def meet(self, call: ApiCall, caller: str) -> Met:
        """Return what a call meets; each switch it meets counts it."""
        with self._lock:
            met = [switch for switch in self._switches.values() if self._meets(switch, call, caller)]
            for switch in met:
                switch.used += 1
            latency = sum(self._seconds(switch.fault) for switch in met if isinstance(switch.fault, Latency))
            return Met(met, latency, throttled=not all(switch.bucket.take() for switch in met if switch.bucket))

    def _meets(self, switch: Switch, call: ApiCall, caller: str) -> bool:
        fault = switch.fault
        if switch.spent or not fault.covers(call.action, call.role, caller):
            return False
        return fault.chance >= 1 or self._random.random() < fault.chance

    def _seconds(self, latency: Latency) -> float:
        if latency.until is None:
            return latency.seconds
        return self._random.uniform(latency.seconds, latency.until)
