"""Who a document lets in, as the independent evaluator has it."""

from itertools import product
from typing import Any

from rig.oracle import TrustOracle
from tests.iam.policies import ISSUER, OTHER_ISSUER, ROLE, SUBJECTS
from webhook.model.names import AUDIENCE, IssuerUrl, Subject

Caller = tuple[IssuerUrl, Subject, str]

AUDIENCES = (AUDIENCE, "sigstore")
CALLERS: tuple[Caller, ...] = tuple(product((ISSUER, OTHER_ISSUER), SUBJECTS, AUDIENCES))


def token(subject: Subject) -> Caller:
    """Who comes with the token that EKS gives a pod of this ServiceAccount."""
    return ISSUER, subject, AUDIENCE


def lets_in(oracle: TrustOracle, document: dict[str, Any], caller: Caller) -> bool:
    """Whether `document` lets `caller` assume the role; one without statements lets none."""
    if not document.get("Statement"):
        return False
    issuer, subject, audience = caller
    return oracle.allows(
        document,
        provider_arn=issuer.provider_arn(ROLE.partition, ROLE.account),
        issuer=issuer.value,
        subject=str(subject),
        audience=audience,
    )


def let_in(oracle: TrustOracle, document: dict[str, Any]) -> set[Caller]:
    """All of the probes that `document` lets in."""
    return {caller for caller in CALLERS if lets_in(oracle, document, caller)}
