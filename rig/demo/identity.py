"""How the demo's control planes get their identity, by mode: what their pods carry, and what proves it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from rig.aws.agent import Agent
from rig.aws.eks_auth import AUDIENCE
from rig.aws.identity import assume
from rig.aws.pod_client import FULL_URI, fetch
from rig.pods import environment_of, projected_token
from rig.space import EKS_CLUSTER, Space

IRSA, POD_IDENTITY = "irsa", "pod-identity"
MODES = (IRSA, POD_IDENTITY)


class Identity(Protocol):
    """One mode."""

    @property
    def variable(self) -> str:
        """What EKS's webhook puts into pods."""

    def proved(self, pod: dict[str, Any]) -> bool:
        """Whether AWS gives credentials for the pod's own token."""


@dataclass(frozen=True)
class ByToken:
    """IRSA: the pod's token goes to STS."""

    space: Space
    variable: str = "AWS_ROLE_ARN"

    def proved(self, pod: dict[str, Any]) -> bool:
        """Whether STS takes the token for the role that the pod was told."""
        role = environment_of(pod)[self.variable]
        return assume(self.space.aws, role, projected_token(self.space.cluster, pod)).ok


@dataclass(frozen=True)
class ByAgent:
    """EKS Pod Identity: the pod's token goes to the node's agent, and by it to EKS."""

    space: Space
    agent: Agent
    variable: str = FULL_URI

    def proved(self, pod: dict[str, Any]) -> bool:
        """Whether EKS takes the token for the association's role."""
        token = projected_token(self.space.cluster, pod, AUDIENCE)
        return fetch(self.space.aws, self.agent.url, environment_of(pod), token).ok


@contextmanager
def identity(space: Space, mode: str) -> Iterator[Identity]:
    """A mode in a Space, for the length of a `with` block."""
    if mode == IRSA:
        yield ByToken(space)
        return
    with Agent(space.aws, EKS_CLUSTER) as agent:
        yield ByAgent(space, agent)
