"""`setup`: what an account needs before the first control plane, and the files for what comes next."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from webhook.cli.exits import Exit
from webhook.cli.options import Context, flag, valued
from webhook.cli.running import run
from webhook.cli.setup.shown import SetupOutput, Shown

if TYPE_CHECKING:
    from webhook.cli.setup.spaces import Preset

_ACCOUNT = "What the account is to have"
_RELEASE = "The release of the webhook's chart"
_SPACES = "The Space"
_WRITTEN = "Files to write"

_PRESETS = "Another workload to bind, and its role: billing, shared-secrets, space-backups."
_OUTPUT = (
    "As a table, json or yaml; awscli: as commands for others to run; terraform: as a configuration for Terraform."
)


def setup(  # noqa: PLR0913, PLR0917  options
    bucket: Annotated[str, valued("The bucket that control planes back up to.", "NAME", panel=_ACCOUNT)],
    region: Annotated[str, valued("The bucket's region, such as us-west-2.", "NAME", panel=_ACCOUNT)],
    mode: Annotated[
        str, valued("How pods get their role: irsa or pod-identity.", "MODE", default=True, panel=_ACCOUNT)
    ] = "irsa",
    role: Annotated[
        list[str] | None,
        valued(
            "A role for backups; in mode irsa several times for a pool of roles.",
            "NAME",
            default="mxp-backup",
            panel=_ACCOUNT,
        ),
    ] = None,
    preset: Annotated[
        list[str] | None, valued(_PRESETS, "NAME[=ROLE]", default="mxp-NAME", panel=_ACCOUNT)
    ] = None,
    own_role: Annotated[
        str, valued("The role that the webhook itself runs as.", "NAME", default=True, panel=_ACCOUNT)
    ] = "mxp-identity-webhook",
    kms_key: Annotated[
        str | None, valued("The key that encrypts the bucket's objects.", "ARN", panel=_ACCOUNT)
    ] = None,
    cluster: Annotated[
        str | None,
        valued(
            "The cluster's name in EKS. Without it EKS is asked, in mode pod-identity.", "NAME", panel=_ACCOUNT
        ),
    ] = None,
    issuer: Annotated[
        str | None,
        valued("The cluster's OIDC issuer. Without it the API server is asked.", "URL", panel=_ACCOUNT),
    ] = None,
    release: Annotated[
        str, valued("Its name in Helm.", "NAME", default=True, panel=_RELEASE)
    ] = "mxp-identity-webhook",
    release_namespace: Annotated[
        str, valued("The namespace that it is to be installed in.", "NAME", default=True, panel=_RELEASE)
    ] = "mxp-identity",
    service_account: Annotated[
        str | None,
        valued("Its ServiceAccount, where the chart is to name it otherwise.", "NAME", panel=_RELEASE),
    ] = None,
    image: Annotated[
        str | None, valued("The image to run, with its registry; --values needs it.", "IMAGE", panel=_RELEASE)
    ] = None,
    pattern: Annotated[
        str,
        valued("The names of control planes' host namespaces.", "PATTERN", default=True, panel=_SPACES),
    ] = "mxp-*-system",
    spaces_release: Annotated[
        str, valued("The name of the release of Spaces in Helm.", "NAME", default=True, panel=_SPACES)
    ] = "spaces",
    prefix: Annotated[
        str, valued("What the names of backups begin with in the bucket.", "TEXT", panel=_SPACES)
    ] = "",
    group: Annotated[
        str,
        valued("The group of control planes that back up.", "NAME", "--group", "-g", default=True, panel=_SPACES),
    ] = "default",
    values: Annotated[Path | None, valued("The values of the webhook's chart.", "FILE", panel=_WRITTEN)] = None,
    spaces_values: Annotated[
        Path | None, valued("Values of the Spaces chart for the workloads.", "FILE", panel=_WRITTEN)
    ] = None,
    backup_config: Annotated[
        Path | None, valued("A SharedBackupConfig with the bucket.", "FILE", panel=_WRITTEN)
    ] = None,
    context: Context = None,
    output: Annotated[
        SetupOutput, typer.Option("--output", "-o", metavar="FORM", help=_OUTPUT)
    ] = SetupOutput.TABLE,
    *,
    approve: Annotated[bool, flag("--approve", "Do what is printed, not only print it; overwrite files.")] = False,
    no_wait: Annotated[
        bool, flag("--no-wait", "Do not wait until EKS's webhook knows the webhook's association.")
    ] = False,
) -> None:
    """Make what an AWS account lacks for backups: provider, roles, policies. Without `--approve`: the plan.

    With --preset it binds another workload of Spaces as well; what its role may do in AWS is for you to say.

    A second run finds nothing to do, and continues where a first was interrupted. Where others administer the
    account, `-o awscli` prints the same steps as commands for them to run, and `-o terraform` all of it as a
    configuration. A new file is written with the plan already; one that is there and holds something else is
    overwritten with `--approve` alone.

    Exit code 0: nothing is missing, or all was done. 2: it would change what others use. 3: something is
    missing.
    """
    from webhook.cli.setup.asked import Asked, Files
    from webhook.cli.setup.prerequisites import Bucket
    from webhook.cli.setup.release import Image, service_account_of
    from webhook.cli.setup.run import set_up
    from webhook.cli.setup.spaces import BACKUP
    from webhook.model.bindings import Mode
    from webhook.model.names import IssuerUrl, Subject
    from webhook.model.selectors import NamePattern

    if approve and output.is_for_others:
        raise typer.BadParameter(f"-o {output} is for others to run: leave out --approve")
    if values is not None and image is None:
        raise typer.BadParameter("--values needs --image, the image that you pushed: no public registry has it")
    if mode not in {Mode.IRSA, Mode.POD_IDENTITY}:
        raise typer.BadParameter(f"--mode {mode}: there are irsa and pod-identity")
    roles = tuple(dict.fromkeys(role or ["mxp-backup"]))
    if mode == Mode.POD_IDENTITY and len(roles) > 1:
        raise typer.BadParameter("--mode pod-identity takes one --role, which never fills up")
    account = service_account_of(release)
    asked = Asked(
        bucket=Bucket(bucket, region, prefix, kms_key),
        mode=Mode(mode),
        pattern=NamePattern(pattern),
        bound=((BACKUP, roles), *_presets(preset or [], spaces_release)),
        own_role=own_role,
        program=Subject(release_namespace, account if service_account is None else service_account),
        release=release,
        named_account=service_account not in {None, account},
        image=Image.parse(image) if image is not None else None,
        cluster=cluster,
        issuer=IssuerUrl(issuer) if issuer is not None else None,
        context=context,
        group=group,
        files=Files(values, spaces_values, backup_config),
    )
    asked.check()
    shown = Shown(output, approve=approve)
    is_left = run(lambda progress: set_up(asked, shown, progress, approved=approve, waits=not no_wait))
    sys.exit(Exit.CHANGES if is_left else Exit.DONE)


def _presets(given: list[str], spaces_release: str) -> list[tuple[Preset, tuple[str, ...]]]:
    from webhook.cli.setup.spaces import presets

    known = presets(spaces_release)
    found: dict[str, tuple[Preset, tuple[str, ...]]] = {}
    for text in given:
        name, names_role, role = text.partition("=")
        if name not in known:
            raise typer.BadParameter(f"--preset {name}: there are {', '.join(known)}")
        if name in found:
            raise typer.BadParameter(f"--preset {name} is given twice")
        found[name] = (known[name], (role if names_role else f"mxp-{name}",))
    return list(found.values())
