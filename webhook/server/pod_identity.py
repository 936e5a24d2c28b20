"""What mode pod-identity needs of the cluster and of EKS, where a binding is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.aws.associations import EksAssociations
from webhook.aws.cluster import ClusterCheck, cluster_arn
from webhook.iam.statement import pod_statements
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.model.errors import ConfigurationError
from webhook.podidentity.association import Ownership

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.aws.caller import CallerCheck
    from webhook.aws.calls import AwsCalls
    from webhook.iam.statement import PodStatement
    from webhook.model.bindings import Binding
    from webhook.model.names import IssuerUrl, RoleArn


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """The cluster as EKS knows it, its associations, and the statements that its roles need.

    Nothing is created for the cluster before EKS has confirmed that it is this one.
    """

    cluster: ClusterCheck
    owner: Ownership
    api: EksAssociations
    bindings: tuple[Binding, ...]

    def statements(self, role: RoleArn) -> tuple[PodStatement, ...]:
        """The statements of the bindings that list `role`."""
        return pod_statements(role, self.bindings, self.owner.cluster, self.owner.installation)


async def pod_identity(  # noqa: PLR0913  what the program is made of
    bindings: tuple[Binding, ...],
    *,
    name: str | None,
    installation: str,
    calls: AwsCalls,
    caller: CallerCheck,
    issuer: Callable[[], IssuerUrl],
) -> PodIdentity | None:
    """The parts, or None where no binding is in mode pod-identity. Makes no call.

    Raises ConfigurationError where the SDK's own configuration, which names the region, cannot be used.
    """
    associating = tuple(binding for binding in bindings if binding.associates)
    if not associating or name is None:
        return None
    try:
        region = await calls.region()
    except AwsError as error:
        raise ConfigurationError(f"cluster.name: its region is not known: {error}") from error
    arn = cluster_arn(associating[0].roles[0], region, name)
    check = ClusterCheck(calls, caller, arn, issuer)
    return PodIdentity(check, Ownership(arn, installation), EksAssociations(calls, check), associating)


async def confirm_cluster(cluster: ClusterCheck) -> None:
    """Have EKS confirm that the cluster of the configured name is this one.

    Raises ConfigurationError where it is another, or there is none, and AwsError while that is not known.
    """
    try:
        await cluster.confirm()
    except AwsError as error:
        if error.kind in {FailureKind.NOT_ALLOWED, FailureKind.NO_SUCH_CLUSTER}:
            raise ConfigurationError(f"cluster.name: {error}") from error
        raise
