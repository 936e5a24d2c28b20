"""All that this program assumes of AWS and that AWS documents in part or not at all: the one list.

A row says what is expected, which source says so, which module relies on it, and what the program does where AWS
behaves otherwise. What is documented in full, such as the evaluation of conditions, is no row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from webhook.coordination.lock import REMEMBERED
from webhook.podidentity.association_cache import PROPAGATED_WITHIN, SETTLES_WITHIN


class Service(StrEnum):
    """Which service a row is about. Only rows about IAM need no cluster."""

    IAM = "IAM"
    STS = "STS"
    EKS = "EKS"

    @property
    def needs_cluster(self) -> bool:
        """Whether a cluster's tokens or associations are needed."""
        return self is not Service.IAM


@dataclass(frozen=True, slots=True)
class Assumption:
    """One row. `id` is a word that programs can rely on."""

    id: str
    service: Service
    expected: str
    source: str
    module: str
    """What relies on it."""
    otherwise: str
    """What the program does where it is violated."""
    rights: tuple[str, ...]
    """The actions in AWS that observing it needs, beside making and removing the role."""


READ_WITHIN = REMEMBERED
"""Seconds within which GetRole is to show a write."""

ASSUMED_WITHIN = REMEMBERED
"""Seconds within which STS is to go by a write."""

LISTED_WITHIN = SETTLES_WITHIN
VARIABLES_WITHIN = PROPAGATED_WITHIN

_IAM = ("iam:GetRole", "iam:UpdateAssumeRolePolicy")
_SIZED = ("iam:GetAccountSummary", "iam:UpdateAssumeRolePolicy")
_AS_ROLE = ("iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy")
_ASSOCIATION = ("eks:CreatePodIdentityAssociation", "iam:PassRole", "iam:UpdateAssumeRolePolicy")
_UPDATE = (*_ASSOCIATION, "eks:UpdatePodIdentityAssociation", "eks:DescribePodIdentityAssociation")
_ASSUME = "eks-auth:AssumeRoleForPodIdentity"

ASSUMPTIONS = (
    Assumption(
        "no-such-role",
        Service.IAM,
        "GetRole of a role that does not exist answers NoSuchEntity",
        "IAM API reference, GetRole",
        "webhook/aws/failures.py",
        "The role counts as one that could not be read, not as missing: passes try again, with AWS's words as the "
        "reason, and `setup` ends with that error and does not create the role.",
        ("iam:GetRole",),
    ),
    Assumption(
        "array-order",
        Service.IAM,
        "GetRole returns each element of a trust policy that was written; the order of arrays may differ",
        "aws-controllers-k8s/community#2875, crossplane-contrib/provider-aws#792",
        "webhook/iam/trust_policy.py",
        "Our statement reads as changed, so each pass writes it again; the alert MxpIdentityTrustWriteLoop fires.",
        _IAM,
    ),
    Assumption(
        "read-age",
        Service.IAM,
        f"GetRole shows a write within {READ_WITHIN:g} s, and no older policy afterwards",
        "IAM user guide, troubleshoot_general: eventual consistency, without a number",
        "webhook/iam/recent_writes.py",
        "A write that follows a read older than a minute can drop a subject that was added before; the next pass "
        "adds it again, within `reconciler.interval`.",
        _IAM,
    ),
    Assumption(
        "white-space",
        Service.IAM,
        "White space does not count against the quota: space, tab, line feed and carriage return between tokens, "
        "space within strings",
        "GetAccountSummary in the SDK's documentation: non-whitespace characters; IAM user guide, policy checks",
        "webhook/iam/trust_policy.py",
        "A policy with white space within the strings of external statements holds fewer subjects than computed: "
        "the refused write lowers the quota that the program computes with. It sends no other white space.",
        _SIZED,
    ),
    Assumption(
        "quota-value",
        Service.IAM,
        "A trust policy of exactly AssumeRolePolicySizeQuota characters is accepted, and one more is refused",
        "GetAccountSummary in the SDK's documentation; IAM quota L-C07B4B0D",
        "webhook/iam/amendment.py",
        "A write that seems to fit is refused; the refusal lowers the quota that the program computes with, and "
        "the next role of the binding is tried.",
        _SIZED,
    ),
    Assumption(
        "quota-error",
        Service.IAM,
        "A trust policy that is too long is refused with LimitExceeded",
        "IAM API reference, UpdateAssumeRolePolicy; kubeflow/kubeflow#6687",
        "webhook/aws/failures.py",
        "The refusal is tried again with pauses, and the next role of the binding is not tried; the warning has "
        "AWS's words and does not name the quota.",
        _SIZED,
    ),
    Assumption(
        "deleted-principal",
        Service.IAM,
        "A principal that was deleted shows as its unique id, and a trust policy that names the id is refused "
        "with MalformedPolicyDocument",
        "IAM user guide, reference_policies_elements_principal",
        "webhook/iam/reasons.py",
        "If IAM accepts the id, writes succeed, and `verify` and `plan` name a problem that is none. With another "
        "error the reason does not name the principal.",
        _IAM,
    ),
    Assumption(
        "not-trusted",
        Service.STS,
        "STS answers AccessDenied to a token that the role does not trust",
        "crossplane/crossplane#5578; the service model of STS has no such error",
        "webhook/cli/verify/assuming.py",
        "`verify --assume` shows AWS's words. With one that is no refusal it says that STS could not be asked. "
        "The SDK in the pod may give up earlier or later than with AccessDenied.",
        ("iam:UpdateAssumeRolePolicy",),
    ),
    Assumption(
        "assume-time",
        Service.STS,
        f"A subject that was added to a trust policy can assume the role within {ASSUMED_WITHIN:g} s",
        "not documented; seconds by reports, rarely a minute (stratus-red-team#358, terraform-provider-aws#6566)",
        "webhook/iam/write_cycle.py",
        "A write that IAM has answered counts as granted all the same. The pod starts, and its first calls are "
        "refused for longer; its SDK tries again, and nothing is restarted.",
        ("iam:UpdateAssumeRolePolicy",),
    ),
    Assumption(
        "assume-stays",
        Service.STS,
        "A subject that could assume the role once can go on doing so",
        "not documented; crossplane-contrib/upjet-aws#238 saw refusals after a success",
        "webhook/cli/verify/assuming.py",
        "`verify --assume` goes by one success, so a pod can be refused after it; its SDK tries again.",
        ("iam:UpdateAssumeRolePolicy",),
    ),
    Assumption(
        "access-denied",
        Service.STS,
        "A right that a role lacks is refused by IAM with AccessDenied, by EKS with AccessDeniedException",
        "IAM and EKS API references, common errors",
        "webhook/aws/failures.py",
        "A missing right counts as an answer that is not AWS's. Without iam:GetAccountSummary nothing is written, "
        "where else 2,048 characters are assumed.",
        ("iam:UpdateAssumeRolePolicy",),
    ),
    Assumption(
        "role-not-accepted",
        Service.EKS,
        "EKS refuses an association with a role that does not trust it: InvalidParameterException",
        "hashicorp/terraform-provider-aws#41483, aws/aws-cdk#31522",
        "webhook/podidentity/association_writer.py",
        "With another error the association waits for a person's correction and is tried again by each pass. If "
        "EKS accepts such a role, the pod gets no credentials until the role's statement is written.",
        ("eks:CreatePodIdentityAssociation", "iam:PassRole"),
    ),
    Assumption(
        "pod-variables",
        Service.EKS,
        f"New pods get the variables of an association within {VARIABLES_WITHIN:g} s, and from then on",
        "aws/eks-pod-identity-agent#52, eksctl-io/eksctl#7709: 5 to 15 s",
        "webhook/podidentity/association_cache.py",
        "`podGate: deny` refuses pods for longer, and none starts without identity. Else such pods are reported, "
        "and restarted with `reconciler.restartPodsWithoutIdentity`.",
        _ASSOCIATION,
    ),
    Assumption(
        "association-read-age",
        Service.EKS,
        f"ListPodIdentityAssociations shows a new association within {LISTED_WITHIN:g} s",
        "not documented",
        "webhook/podidentity/association_cache.py",
        "The association counts as deleted by hand; the program creates it again, is told that it exists, and "
        "takes its id from there.",
        _ASSOCIATION,
    ),
    Assumption(
        "in-use",
        Service.EKS,
        "A second association of a ServiceAccount is refused with ResourceInUseException, which names the first's "
        "id",
        "crossplane-contrib/upjet-aws#2199",
        "webhook/aws/associations.py",
        "The program lists the ServiceAccount's association in place of reading its id from the message: one "
        "more call.",
        _ASSOCIATION,
    ),
    Assumption(
        "no-such-association",
        Service.EKS,
        "DescribePodIdentityAssociation of one that does not exist answers ResourceNotFoundException",
        "EKS API reference, DescribePodIdentityAssociation",
        "webhook/aws/failures.py",
        "An association that was deleted by hand counts as one that could not be read: the pass reports AWS's "
        "words, and creates it once the list lacks it.",
        ("eks:DescribePodIdentityAssociation",),
    ),
    Assumption(
        "principal-tag",
        Service.EKS,
        "A pod's session carries its namespace as aws:PrincipalTag/kubernetes-namespace in later requests",
        "EKS user guide, Pod Identity session tags",
        "webhook/iam/statement.py",
        "Nothing: the program narrows trust by aws:RequestTag alone. A Deny on that key in a role's own policy "
        "would not end one control plane alone.",
        (*_ASSOCIATION, "iam:PutRolePolicy", _ASSUME),
    ),
    Assumption(
        "associated-resource",
        Service.EKS,
        "iam:PassRole can be limited by iam:AssociatedResourceArn to the cluster of the association",
        "EKS user guide, Pod Identity prerequisites",
        "webhook/cli/setup/policies.py",
        "EKS refuses every association (AccessDenied, iam:PassRole), which warnings and the log name. Remove the "
        "key from the webhook's policy; it may then pass on its roles for any cluster of the account.",
        (*_AS_ROLE, "iam:PassRole"),
    ),
    Assumption(
        "source-arn",
        Service.EKS,
        "EKS assumes a role with the cluster's ARN as aws:SourceArn, also where session tags are disabled",
        "terraform-aws-modules/terraform-aws-eks#3743; no page of AWS",
        "webhook/iam/evaluation.py",
        "Nothing: the program's statements do not name it. An external statement that does is shown as one that "
        "has further conditions.",
        (*_UPDATE, _ASSUME),
    ),
    Assumption(
        "empty-target",
        Service.EKS,
        "An update with an empty targetRoleArn removes the target role",
        "aws-controllers-k8s/eks-controller, pkg/resource/pod_identity_association/sdk.go",
        "webhook/podidentity/association.py",
        "Nothing: the program never sends one. It asks a person to delete an association with a target role.",
        _UPDATE,
    ),
    Assumption(
        "empty-policy",
        Service.EKS,
        "An update with an empty policy removes the session policy",
        "not documented, and no public client does it",
        "webhook/podidentity/association.py",
        "Nothing: the program never sends one. A person who limits one control plane by a session policy deletes "
        "and creates the association to lift it.",
        _UPDATE,
    ),
)
