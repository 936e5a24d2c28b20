"""How messages about a configuration begin: with the binding by its name, or with the place in a file."""

from __future__ import annotations

import yaml

from webhook.model.names import is_binding_name


def in_binding(index: int, name: object) -> str:
    """How messages about a binding begin: by its name, where it has a right one, else by its place."""
    return f'binding "{name}": ' if isinstance(name, str) and is_binding_name(name) else f"bindings.{index}: "


def yaml_problem(error: Exception, origin: str) -> str:
    """Where a YAML text is wrong, as compilers say it; `origin` is its name where the error names no file."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{origin}: invalid YAML: {' '.join(str(error).split())}"
    file = origin if mark.name.startswith("<") else mark.name
    place = f"{file}:{mark.line + 1}:{mark.column + 1}"
    if isinstance(error, yaml.constructor.ConstructorError):
        return f"{place}: invalid YAML: {error.problem}"
    return f"{place}: invalid YAML"
