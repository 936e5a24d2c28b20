"""What the program depends on, what can go wrong with it, and which combinations there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rig.faults import MISBEHAVIOURS
from rig.faults.front import every_request
from rig.faults.misbehaviours import Refused, UntrustedCertificate
from tests.faults.credentials import expired
from tests.faults.sizes import many_pieces, one_piece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rig.faults import Request

START, SERVING = "start", "serving"
PHASES = (START, SERVING)

_LEASES = "/apis/coordination.k8s.io/"


def _assumes_a_role(request: Request) -> bool:
    return request.action == "AssumeRoleWithWebIdentity"


def _is_of_leases(request: Request) -> bool:
    return request.path.startswith(_LEASES)


def _is_watch(request: Request) -> bool:
    return request.is_watch


def _is_read(request: Request) -> bool:
    return request.method == "GET" and not request.is_watch and not request.path.startswith(_LEASES)


@dataclass(frozen=True)
class Dependency:
    """One of the program's dependencies: the port in front of it, and which requests there are its own."""

    front: str
    matching: Callable[[Request], bool] = every_request

    @property
    def is_kubernetes(self) -> bool:
        """Whether it is a part of the API server."""
        return self.front == "api"


DEPENDENCIES = {
    "iam": Dependency("iam"),
    "sts": Dependency("sts"),
    "eks": Dependency("eks"),
    "credentials-from-sts": Dependency("sts", _assumes_a_role),
    "credentials-from-agent": Dependency("agent"),
    "api-reads": Dependency("api", _is_read),
    "api-watches": Dependency("api", _is_watch),
    "api-leases": Dependency("api", _is_of_leases),
}

TOKEN_FILES = {"token-missing": None, "token-empty": ""}
"""Content of the token's file; None is no file."""

SIZES = {"many-pieces": many_pieces, "one-piece": one_piece}
"""What a program has to meet thirty times: little of each may be kept."""

KINDS: dict[str, Any] = {**MISBEHAVIOURS, "expired": expired, **TOKEN_FILES, **SIZES}
"""Everything that can go wrong, by name."""

OF_THE_WHOLE_PORT = frozenset(
    name for name, kind in MISBEHAVIOURS.items() if isinstance(kind, Refused | UntrustedCertificate)
)


@dataclass(frozen=True)
class Exclusion:
    """Combinations that cannot exist, and why."""

    dependencies: frozenset[str]
    misbehaviours: frozenset[str]
    because: str


_CREDENTIALS = frozenset({"credentials-from-sts", "credentials-from-agent"})
_WITH_TOKEN_FILE = frozenset({*_CREDENTIALS, "api-reads"})
_PARTS_OF_THE_API_SERVER = frozenset({"api-watches", "api-leases"})
_THE_API_SERVER = _PARTS_OF_THE_API_SERVER | {"api-reads"}

EXCLUSIONS = (
    Exclusion(
        frozenset({"credentials-from-agent"}),
        frozenset({"tls-failure"}),
        "the agent of a node is called over plain HTTP",
    ),
    Exclusion(
        _PARTS_OF_THE_API_SERVER,
        OF_THE_WHOLE_PORT | TOKEN_FILES.keys(),
        "one address and one token file serve reads, watches and Leases: the cells of reads break all three",
    ),
    Exclusion(
        frozenset(DEPENDENCIES) - _WITH_TOKEN_FILE - _PARTS_OF_THE_API_SERVER,
        frozenset(TOKEN_FILES),
        "IAM, STS and EKS are called with the credentials, not with a token file",
    ),
    Exclusion(
        frozenset(DEPENDENCIES) - {"iam", "sts", "credentials-from-sts"},
        frozenset({"entities"}),
        "JSON has no entities",
    ),
    Exclusion(
        frozenset(DEPENDENCIES) - _CREDENTIALS,
        frozenset({"expired"}),
        "only an answer with credentials says when they expire",
    ),
    Exclusion(
        frozenset(DEPENDENCIES) - _THE_API_SERVER,
        frozenset(SIZES),
        "pages, lines of watches and objects are the API server's, and so are the limits of their bytes",
    ),
)


@dataclass(frozen=True)
class Cell:
    """One combination."""

    dependency: str
    misbehaviour: str
    phase: str

    @property
    def name(self) -> str:
        """What tests and namespaces call it."""
        return f"{self.dependency}-{self.misbehaviour}-{self.phase}"

    @property
    def is_of_the_api_server(self) -> bool:
        """Whether a part of the API server misbehaves."""
        return DEPENDENCIES[self.dependency].is_kubernetes

    @property
    def breaks_the_whole_api_server(self) -> bool:
        """Whether reads, watches and Leases fail together."""
        return self.dependency == "api-reads" and self.misbehaviour in OF_THE_WHOLE_PORT | TOKEN_FILES.keys()

    @property
    def hides_the_namespace(self) -> bool:
        """Whether the program cannot know any namespace.

        Then a review is answered without the annotation and with a warning that it follows.
        """
        return self.dependency == "api-reads" and self.phase == START

    @property
    def is_met_again(self) -> bool:
        """Whether the program has to meet it again and again.

        Watches pause for up to 10 s between failures: they have it at the start, where no other cell waits.
        """
        return self.misbehaviour in SIZES and self.phase == (
            START if self.dependency == "api-watches" else SERVING
        )

    @property
    def is_noticed_late(self) -> bool:
        """Whether it is like a watch without changes, which says once a minute only that it is there."""
        return self.dependency == "api-watches" and self.misbehaviour in {"silence", "slow-drip"}


def exclusion_of(dependency: str, misbehaviour: str) -> Exclusion | None:
    """Why there is no such combination, or None where there is one."""
    return next(
        (
            exclusion
            for exclusion in EXCLUSIONS
            if dependency in exclusion.dependencies and misbehaviour in exclusion.misbehaviours
        ),
        None,
    )


def pairs() -> Iterator[tuple[str, str]]:
    """Every dependency with everything that can go wrong with it."""
    for dependency in DEPENDENCIES:
        for misbehaviour in KINDS:
            if exclusion_of(dependency, misbehaviour) is None:
                yield dependency, misbehaviour


CELLS = tuple(Cell(*pair, phase) for pair in pairs() for phase in PHASES)


_EARLY = {
    "iam": {"html-403"},
    "eks": {"truncated"},
    "credentials-from-sts": {"expired"},
    "credentials-from-agent": {"token-missing"},
    "api-reads": {"token-empty", "many-pieces"},
    "api-watches": {"html-500", "one-piece"},
    "api-leases": {"wrong-types", "one-piece"},
}
"""What the slice has at the start."""


def _slice() -> Iterator[Cell]:
    """Every fourth pair while serving, where one program meets one after another; some also at the start.

    So every dependency and everything that can go wrong is there, in turn. STS is asked who calls until it has
    answered: there no cell can follow another, and all are at the start.
    """
    kinds, dependencies = list(KINDS), list(DEPENDENCIES)
    for dependency, misbehaviour in pairs():
        is_in_turn = (kinds.index(misbehaviour) + dependencies.index(dependency)) % 4 == 0
        if dependency != "sts" and is_in_turn:
            yield Cell(dependency, misbehaviour, SERVING)
        if is_in_turn if dependency == "sts" else misbehaviour in _EARLY[dependency]:
            yield Cell(dependency, misbehaviour, START)


SLICE = tuple(_slice())


def chains(cells: Iterable[Cell], longest: int) -> list[list[Cell]]:
    """The cells in groups that one program can meet one after another, `longest` at most; a start is one alone.

    The longest groups come first: played side by side, all end at about the same time.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.dependency, cell.phase), []).append(cell)
    found: list[list[Cell]] = []
    for (_, phase), members in groups.items():
        length = longest if phase == SERVING else 1
        found += [members[first : first + length] for first in range(0, len(members), length)]
    return sorted(found, key=len, reverse=True)
