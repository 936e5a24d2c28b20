"""An account and a cluster that `conformance` is run on, in this process and in virtual time."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

import structlog

from rig.space import EKS_CLUSTER
from tests.cli.setup.accounts import account_of
from webhook.cli.conformance.command import ConformanceOutput, Shown
from webhook.cli.conformance.lab import Timing
from webhook.cli.conformance.run import Asked, conform

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

    from rig.aws import AwsStandIn, ManualClock
    from tests.support.stub_cluster import StubCluster

NAMESPACE = "default"


@dataclass(frozen=True)
class Ran:
    """One run: its exit code, its result, what a person read beside it, and its steps."""

    code: int
    result: dict[str, Any]
    told: str
    steps: list[str]

    def verdicts(self) -> dict[str, str]:
        """The verdict of each row."""
        return {row["id"]: row["verdict"] for row in self.result["rows"]}

    def row(self, name: str) -> dict[str, str]:
        """One row."""
        (found,) = (row for row in self.result["rows"] if row["id"] == name)
        return dict(found)


@dataclass(frozen=True)
class Account:
    """The stand-in, whose time passes while a run waits, and the cluster."""

    aws: AwsStandIn
    clock: ManualClock
    cluster: StubCluster
    kubeconfig: Path
    printed: pytest.CaptureFixture[str]

    def conform(
        self,
        *,
        cluster: str | None = EKS_CLUSTER,
        given: Mapping[str, str] | None = None,
        interrupted_at: int | None = None,
        watch: float = 5.0,
    ) -> Ran:
        """Run it, as the account's administrator unless `given` are other credentials.

        With `interrupted_at` it is interrupted at its step of that number; raises CancelledError.
        """
        steps: list[str] = []
        tasks: list[asyncio.Task[Any]] = []

        def step(text: str) -> None:
            steps.append(text)
            if len(steps) - 1 == interrupted_at:
                tasks[0].cancel()

        async def sleep(seconds: float) -> None:
            self.clock.advance(seconds)
            await asyncio.sleep(0)

        async def work() -> int:
            task = asyncio.current_task()
            assert task
            tasks.append(task)
            asked = Asked(cluster, NAMESPACE, None, watch, approved=True)
            shown = Shown(ConformanceOutput.JSON, approved=True)
            return await conform(asked, shown, step, Timing(self.clock, sleep, watch))

        env = {**self.aws.environment(base={"PATH": "/usr/bin:/bin"}), "KUBECONFIG": str(self.kubeconfig)}
        ambient = mock.patch.dict(os.environ, {**env, **(given or {})}, clear=True)
        with ambient, structlog.testing.capture_logs():
            code = asyncio.run(work())
        out, err = self.printed.readouterr()
        return Ran(code, json.loads(out), err, steps)

    def contents(self) -> dict[str, Any]:
        """All that is in the account and the cluster."""
        return {**account_of(self.aws), "objects": dict(self.cluster.objects)}
