"""Links, headings and names within a page of Markdown, as GitHub shows it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")


class Link(NamedTuple):
    """Where a link leads to: a path from its page's folder, empty for the page itself, and an anchor if any."""

    path: str
    anchor: str


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return _BLOCK.sub("", page.read_text())


def links(page: Path) -> list[Link]:
    """The page's links to files of this repository."""
    targets = [target for target in _LINK.findall(prose(page)) if "://" not in target]
    return [Link(*target.partition("#")[::2]) for target in targets]


def anchors(page: Path) -> set[str]:
    """The anchors of the page's headings; those of one text are numbered from the second on."""
    found: dict[str, int] = {}
    for heading in _HEADING.findall(prose(page)):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\]\([^)]*\)", "]", heading).lower()).strip().replace(" ", "-")
        found[slug] = found.get(slug, 0) + 1
    return {f"{slug}-{number}" if number else slug for slug, count in found.items() for number in range(count)}


def names(page: Path) -> set[str]:
    """What the page's sentences show as code."""
    return set(_CODE.findall(prose(page)))


def dead_links(page: Path) -> list[str]:
    """The links of the page that lead to no file or to no heading of it."""
    dead = []
    for link in links(page):
        target = (page.parent / link.path) if link.path else page
        if not target.exists() or (link.anchor and link.anchor not in anchors(target)):
            dead.append(f"{link.path}#{link.anchor}" if link.anchor else link.path)
    return dead
