"""How many characters a role's trust policy may have, by what AWS answers and by what it refuses."""

from __future__ import annotations

from webhook.iam.amendment import DEFAULT_QUOTA


class Ceiling:
    """The quota as answered, or less where IAM refused a smaller document under that same answer."""

    def __init__(self) -> None:
        self._answered = DEFAULT_QUOTA
        self._refused: int | None = None

    @property
    def characters(self) -> int:
        """White space does not count."""
        return self._answered if self._refused is None else min(self._answered, self._refused - 1)

    def answered(self, quota: int) -> None:
        """AWS has said how many; another number than before makes what was refused old."""
        if quota != self._answered:
            self._answered, self._refused = quota, None

    def refused(self, size: int) -> None:
        """A document of `size` characters was too large."""
        self._refused = size
