"""What `setup` prints, in each of its forms: where it is, the steps, what it wrote, and what to run next."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from webhook.cli.output import Output, write_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from webhook.cli.running import Progress
    from webhook.cli.setup.account import Place
    from webhook.cli.setup.asked import Asked
    from webhook.cli.setup.steps import Step

_CHART = "charts/mxp-identity-webhook"
_LEFT_BY_TERRAFORM = "Terraform does not make the {}: run the same with --approve, without -o terraform"


class SetupOutput(StrEnum):
    """The forms that the plan has."""

    TABLE = "table"
    AWSCLI = "awscli"
    TERRAFORM = "terraform"
    JSON = "json"
    YAML = "yaml"

    @property
    def is_for_others(self) -> bool:
        """Whether it is to be run by others; what is for the reader is a comment in it."""
        return self in {SetupOutput.AWSCLI, SetupOutput.TERRAFORM}


class Shown:
    """Prints one run, on standard output. A document is printed whole at the end."""

    def __init__(self, output: SetupOutput, *, approve: bool) -> None:
        self._output = output
        self._approve = approve
        self._document: dict[str, Any] = {}

    def place(self, place: Place) -> None:
        """Print account, region, cluster and context, before anything else."""
        cluster = place.cluster.arn.name if place.cluster else None
        self._document = {
            "account": place.account,
            "region": place.region,
            "cluster": cluster,
            "issuer": place.issuer.value,
            "context": place.context,
        }
        named = f"{cluster} ({place.issuer})" if cluster else place.issuer.value
        context = place.context or "none (--issuer)"
        self._line(f"account {place.account}, region {place.region}, cluster {named}, context {context}")

    def done(self, progress: Progress, what: str) -> None:
        """Print a step that is done."""
        if self._output is SetupOutput.TABLE:
            progress.hide()
            self._line(f"done: {what}")

    def result(self, steps: Sequence[Step], notes: Sequence[str], files: Sequence[Path], asked: Asked) -> None:
        """Print what is left, what is to be known, and what comes next."""
        from webhook.cli.setup.steps import missing

        left = missing(steps)
        first = [self._first_next] if left and not self._approve else []
        following = [*first, *_following(asked)]
        if not self._output.is_for_others and self._output is not SetupOutput.TABLE:
            records = [
                {
                    "what": step.what,
                    "service": call.service,
                    "operation": call.operation,
                    "parameters": dict(call.parameters),
                }
                for step, call in left
            ]
            told = {"notes": list(notes), "files": list(map(str, files)), "next": following}
            write_document(
                {**self._document, "steps": records, "done": self._approve, **told}, Output(self._output)
            )
            return
        if self._output is SetupOutput.AWSCLI:
            sys.stdout.write("".join(f"{call.command()}\n" for _, call in left))
        elif self._output is SetupOutput.TERRAFORM:
            from webhook.cli.setup.terraform import configuration

            sys.stdout.write(f"\n{configuration(steps)}\n")
            notes = [*notes, *(_LEFT_BY_TERRAFORM.format(step.what) for step in steps if step.needs_lock)]
        elif not left:
            self._line("nothing is missing")
        elif not self._approve:
            for step, _ in left:
                self._line(f"  + {step.what}")
            self._line(f"{len(left)} steps; --approve does them, -o awscli or terraform prints them for others")
        for note in notes:
            self._line(f"  i {note}")
        for path in files:
            self._line(f"wrote {path}")
        self._line("next:")
        for line in following:
            self._line(f"  {line}")

    @property
    def _first_next(self) -> str:
        match self._output:
            case SetupOutput.AWSCLI:
                return "have these commands run by a person who administers the account"
            case SetupOutput.TERRAFORM:
                return "terraform apply, with this in a folder that has the AWS provider"
            case _:
                return "the same with --approve"

    def _line(self, text: str) -> None:
        if self._output.is_for_others:
            sys.stdout.writelines(f"# {line}\n" for line in text.splitlines())
        elif self._output is SetupOutput.TABLE:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()


def _following(asked: Asked) -> Iterator[str]:
    """What to run next, in order; commands can be run as they stand."""
    files, release, namespace = asked.files, asked.release, asked.program.namespace
    helm, kubectl, ours = (
        [option, asked.context] if asked.context else [] for option in ("--kube-context", "--context", "--context")
    )
    if files.values is not None:
        where = ["--namespace", namespace, "--create-namespace", "--values", str(files.values)]
        yield shlex.join(["helm", "upgrade", "--install", release, _CHART, *helm, *where])
    else:
        yield "the same with --values FILE and --image IMAGE, which writes the chart's values"
    if files.spaces_values is not None:
        yield f"add {files.spaces_values} to the values of the release of Spaces (helm upgrade --values)"
    if files.backup_config is not None:
        yield shlex.join(["kubectl", "apply", *kubectl, "-f", str(files.backup_config)])
    yield shlex.join(["mxp-identity", "verify", *ours, "--release-namespace", namespace])
