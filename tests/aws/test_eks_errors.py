"""Every error that EKS's own model has for the six calls that are made has one outcome, and none is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import botocore.session
import pytest

from rig.aws import AwsStandIn, Refuse
from tests.aws.conftest import Program, use
from tests.support.pods import CLUSTER, OWNER
from tests.support.sites import ISSUER, role, subject
from webhook.aws.associations import EksAssociations
from webhook.aws.cluster import ClusterCheck
from webhook.model.aws_errors import AwsError, FailureKind
from webhook.podidentity.ports import AssociationInUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

ID = "a-0123456789abcdefg"
CALLS: dict[str, Callable[[EksAssociations], Coroutine[Any, Any, Any]]] = {
    "DescribeCluster": lambda eks: eks.list(),
    "ListPodIdentityAssociations": lambda eks: eks.list(),
    "DescribePodIdentityAssociation": lambda eks: eks.describe(ID),
    "CreatePodIdentityAssociation": lambda eks: eks.create(subject(1), role(), OWNER.tags()),
    "UpdatePodIdentityAssociation": lambda eks: eks.update(ID, role()),
    "DeletePodIdentityAssociation": lambda eks: eks.delete(ID),
}
GONE = "is no error: it is gone"
_OF_ALL = {
    "ServerException": FailureKind.UNAVAILABLE,
    "InvalidRequestException": FailureKind.MALFORMED,
    "InvalidParameterException": FailureKind.ROLE_NOT_ACCEPTED,
}
OUTCOMES: dict[str, dict[str, FailureKind | str]] = {
    "DescribeCluster": {
        "ResourceNotFoundException": FailureKind.NO_SUCH_CLUSTER,
        "ClientException": FailureKind.UNEXPECTED,
        "ServerException": FailureKind.UNAVAILABLE,
        "ServiceUnavailableException": FailureKind.UNAVAILABLE,
    },
    "ListPodIdentityAssociations": {**_OF_ALL, "ResourceNotFoundException": FailureKind.NOT_FOUND},
    "DescribePodIdentityAssociation": {**_OF_ALL, "ResourceNotFoundException": GONE},
    "CreatePodIdentityAssociation": {
        **_OF_ALL,
        "ResourceNotFoundException": FailureKind.NO_SUCH_CLUSTER,
        "ResourceLimitExceededException": FailureKind.FULL,
        "ResourceInUseException": FailureKind.UNAVAILABLE,
    },
    "UpdatePodIdentityAssociation": {**_OF_ALL, "ResourceNotFoundException": FailureKind.NOT_FOUND},
    "DeletePodIdentityAssociation": {**_OF_ALL, "ResourceNotFoundException": GONE},
}
EACH = [(operation, code) for operation, codes in OUTCOMES.items() for code in codes]


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsStandIn]:
    with AwsStandIn() as server:
        server.add_cluster(CLUSTER.name, ISSUER.value)
        yield server


def test_the_table_has_every_error_of_the_model_and_no_other() -> None:
    model = botocore.session.get_session().get_service_model("eks")
    modelled = {name: {shape.name for shape in model.operation_model(name).error_shapes} for name in CALLS}
    assert {name: set(codes) for name, codes in OUTCOMES.items()} == modelled


@pytest.mark.parametrize(("operation", "code"), EACH)
def test_each_error_has_its_kind_and_eks_own_words(
    aws: AwsStandIn, monkeypatch: pytest.MonkeyPatch, operation: str, code: str
) -> None:
    use(monkeypatch, aws.environment())
    program, expected = Program(), OUTCOMES[operation][code]
    eks = EksAssociations(program.calls, ClusterCheck(program.calls, program.caller, CLUSTER, lambda: ISSUER))
    status = 404 if code == "ResourceNotFoundException" else 400
    message = f"Association already exists: {ID}" if code == "ResourceInUseException" else "EKS says no"
    with aws.fault(Refuse(code=code, status=status, message=message, actions=(operation,))):
        if expected == GONE:
            assert not program.run(lambda: CALLS[operation](eks))
        else:
            refusal = program.refused(lambda: CALLS[operation](eks))
            assert refusal.kind is expected
            assert f"{operation}: {code}: {message}" in str(refusal)
            assert not refusal.kind.is_final or refusal.kind is FailureKind.FULL, (
                "only a full cluster needs a person"
            )
            _names_what_is_there(refusal, code)
    program.calls.close()


def _names_what_is_there(refusal: AwsError, code: str) -> None:
    if code == "ResourceInUseException":
        assert isinstance(refusal, AssociationInUseError)
        assert refusal.association_id == ID
