"""The commit that a release is made of; what is not committed is no part of it."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


class SourceError(RuntimeError):
    """There is no commit to make a release of; the message is what git said."""


@dataclass(frozen=True)
class Source:
    """The files of a commit in `folder`, each with the time of the commit, `epoch` in seconds."""

    folder: Path
    commit: str
    epoch: int

    @property
    def created(self) -> datetime:
        """When it was committed."""
        return datetime.fromtimestamp(self.epoch, UTC)


@contextlib.contextmanager
def exported(repository: Path = REPOSITORY) -> Iterator[Source]:
    """Give out the commit that is checked out, without history, for the length of a `with` block.

    Raises `SourceError` where there is none.
    """
    commit, epoch = _git(repository, "show", "--no-patch", "--format=%H %ct", "HEAD").decode().split()
    if changed := _git(repository, "status", "--porcelain", "--untracked-files=no").decode():
        print(f"not in the release, because it is not committed:\n{changed.rstrip()}")
    with tempfile.TemporaryDirectory(prefix="mxp-release-") as name:
        content = _git(repository, "-c", "tar.umask=0022", "archive", "--format=tar", commit)
        # Not by tarfile, which has no filters before Python 3.11.4 and warns of their absence from 3.12 on.
        subprocess.run(["tar", "-xpf", "-", "-C", name], input=content, check=True)
        yield Source(Path(name), commit, int(epoch))


def _git(repository: Path, *arguments: str) -> bytes:
    answer = subprocess.run(["git", "-C", repository, *arguments], capture_output=True, check=False)
    if answer.returncode:
        raise SourceError(f"git {arguments[0]}: {answer.stderr.decode().strip()}")
    return answer.stdout
