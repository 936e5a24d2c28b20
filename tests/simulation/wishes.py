"""What is wanted in which role by the API server's own word, and since when a subject is not.

Written anew for the simulation, so that the program's rule is not its own judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.plan import LABEL

if TYPE_CHECKING:
    from webhook.model.decisions import Account, LiveNamespace
    from webhook.model.names import RoleArn


class Wishes:
    """What is wanted of each namespace's ServiceAccount. Times are seconds by the world's clock."""

    def __init__(self, roles: tuple[RoleArn, ...]) -> None:
        self._roles = roles
        self._unwanted: dict[tuple[RoleArn, str], float] = {}
        self._selected_uid: dict[str, str] = {}
        self._replaced: set[str] = set()
        self._said: dict[str, tuple[LiveNamespace | None, Account | None]] = {}

    def says(self, name: str, namespace: LiveNamespace | None, account: Account | None, now: float) -> None:
        """Take in what the API server says of a namespace from now on."""
        self._said[name] = namespace, account
        if namespace is not None and LABEL in namespace.labels:
            self._selected_uid[name] = namespace.uid
        for role in self._roles:
            if self._needs(role, name):
                self._unwanted.pop((role, name), None)
                self._replaced.discard(name)
            else:
                self._unwanted.setdefault((role, name), now)
        if namespace is None or LABEL in namespace.labels:
            return
        if namespace is not None and self._selected_uid.get(name, namespace.uid) != namespace.uid:
            self._replaced.add(name)

    def unwanted_since(self, role: RoleArn, name: str) -> float | None:
        """Since when a role is not needed without a break; None where it is needed."""
        return self._unwanted.get((role, name))

    def was_replaced(self, name: str) -> bool:
        """Whether the namespace was recreated without the label since it was last wanted."""
        return name in self._replaced

    def last_selected(self, name: str) -> str | None:
        """The uid of the last namespace of this name that carried the label."""
        return self._selected_uid.get(name)

    def is_there(self, name: str, uid: str | None) -> bool:
        """Whether the API server has that very namespace."""
        namespace, _ = self._said.get(name, (None, None))
        return namespace is not None and namespace.uid == uid

    def is_selected(self, name: str) -> bool:
        """Whether there is such a namespace and it carries the label, so that a review may ask for its trust."""
        namespace, _ = self._said.get(name, (None, None))
        return namespace is not None and LABEL in namespace.labels

    def waits_for_its_account(self, name: str, since: float) -> bool:
        """Whether a namespace is selected, has no ServiceAccount, and was created after `since`."""
        namespace, account = self._said.get(name, (None, None))
        selected = namespace is not None and LABEL in namespace.labels
        return namespace is not None and selected and account is None and namespace.created > since

    def home(self, name: str) -> RoleArn | None:
        """The role of the pool that the annotation of a wanted subject names."""
        return next((role for role in self._roles if self._needs(role, name) and self._names(role, name)), None)

    def _needs(self, role: RoleArn, name: str) -> bool:
        namespace, account = self._said.get(name, (None, None))
        if namespace is None:
            return False
        is_the_same = self._selected_uid.get(name, namespace.uid) == namespace.uid
        if namespace.terminating and LABEL in namespace.labels and is_the_same:
            return True  # its pods may have to save something yet
        if LABEL not in namespace.labels or account is None:
            return False
        return account.role_annotation is None or self._names(role, name)

    def _names(self, role: RoleArn, name: str) -> bool:
        _, account = self._said[name]
        return account is not None and account.role_annotation == role.value
