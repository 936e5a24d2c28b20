"""Configuration files: the right one, and what the program makes of others."""

import copy
from pathlib import Path
from typing import Any

import yaml

from webhook.config.bindings import bindings_of
from webhook.config.contract import Configuration
from webhook.config.load import load_configuration
from webhook.model.bindings import Binding

CASES = Path(__file__).parent / "cases"
RIGHT: dict[str, Any] = yaml.safe_load((CASES / "right.yaml").read_text("utf-8"))


def changed(at: str, *put: object) -> dict[str, Any]:
    """The right configuration with `put` written at the dotted path `at`, or nothing there."""
    content: Any = copy.deepcopy(RIGHT)
    *parents, last = (int(step) if step.isdigit() else step for step in at.split("."))
    target = content
    for step in parents:
        target = target[step]
    if isinstance(target, list):
        target[int(last) :] = put
    elif put:
        target[last] = put[0]
    else:
        del target[last]
    return content  # type: ignore[no-any-return]


def read(path: Path) -> tuple[Configuration, tuple[Binding, ...]]:
    """What the program reads before it does anything else."""
    configuration = load_configuration(path)
    return configuration, bindings_of(configuration.bindings, configuration.cluster.name)
