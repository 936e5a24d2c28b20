"""Values of two charts, the webhook's and those of Spaces that go with it, and the files that `setup` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
import yaml

from webhook.cli.setup.presets import BACKUP
from webhook.model.names import ROLE_ARN_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from webhook.cli.setup.policies import DesiredAccount
    from webhook.cli.setup.presets import Preset
    from webhook.model.names import RoleArn


def chart_values(desired: DesiredAccount) -> dict[str, Any]:
    """The webhook's chart with a binding for the backups of every control plane, and those of other workloads."""
    bindings = [BACKUP.binding(*desired.roles), *(preset.binding(role) for preset, role in desired.workloads)]
    return {"bindings": bindings, "serviceAccount": {"roleArn": desired.own_role.value}}


def spaces_values(desired: DesiredAccount) -> dict[str, Any]:
    """The Spaces chart with the bucket, as the published guides set it.

    With one role Spaces may annotate every ServiceAccount with it too; with several, only the webhook knows which.
    """
    storage = {"provider": "aws", "aws": {"region": desired.bucket.region, "bucket": desired.bucket.name}}
    values: dict[str, Any] = {"backup": {"enabled": True, "storage": storage}}
    if len(desired.roles) == 1:
        _annotate(values, BACKUP, desired.roles[0])
    for preset, role in desired.workloads:
        _annotate(values, preset, role)
    return values


def _annotate(values: dict[str, Any], preset: Preset, role: RoleArn) -> None:
    for key in preset.annotations_at:
        values = values.setdefault(key, {})
    values[ROLE_ARN_ANNOTATION] = role.value


def write_values(files: Mapping[Path, dict[str, Any]], *, overwrite: bool) -> None:
    """Write each, or none: raises BadParameter where one holds something else and is not to be overwritten."""
    texts = {path: yaml.safe_dump(values, sort_keys=False).encode() for path, values in files.items()}
    for path, text in texts.items():
        if not overwrite and _holds_something_else(path, text):
            raise typer.BadParameter(
                f"{path} is there and holds something else: name another file, or overwrite it with --approve"
            )
    for path, text in texts.items():
        try:
            path.write_bytes(text)
        except OSError as error:
            raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from error


def _holds_something_else(path: Path, text: bytes) -> bool:
    try:
        return path.is_file() and path.read_bytes() != text
    except OSError:
        return True
