"""Switches that make the stand-in behave otherwise than AWS is assumed to, each in one respect.

A program that is tested against the stand-in believes what the stand-in does. These show that it would notice if
AWS did something else. Each is off at first; `Controls.violating` switches one on.
"""

from enum import StrEnum


class Violation(StrEnum):
    """What is otherwise."""

    ARRAY_ORDER = "array-order"
    """Reads of a trust policy lack the last element of each array."""
    READ_AGE = "read-age"
    """GetRole shows a trust policy as it was 90 s ago."""
    WHITE_SPACE = "white-space"
    """White space counts against the quota of a trust policy."""
    QUOTA_VALUE = "quota-value"
    """A trust policy may have 10 characters fewer than GetAccountSummary reports."""
    QUOTA_ERROR = "quota-error"
    """A trust policy that is too long is refused as malformed."""
    DELETED_PRINCIPAL = "deleted-principal"
    """A trust policy may name the unique id of a principal that was deleted."""
    NO_SUCH_ROLE = "no-such-role"
    """GetRole answers for a role that is not there as EKS answers for what is not there."""
    NOT_TRUSTED = "not-trusted"
    """STS answers InvalidIdentityToken to a token that the role does not trust."""
    ASSUME_TIME = "assume-time"
    """STS goes by trust policies as they were 90 s ago."""
    ASSUME_STAYS = "assume-stays"
    """STS refuses every second token that it should accept."""
    ACCESS_DENIED = "access-denied"
    """A right that is missing is an UnauthorizedOperation, as EC2 has it."""
    ROLE_NOT_ACCEPTED = "role-not-accepted"
    """EKS makes an association with a role that does not trust it."""
    POD_VARIABLES = "pod-variables"
    """EKS's webhook learns of an association 60 s later than else."""
    ASSOCIATION_READ_AGE = "association-read-age"
    """ListPodIdentityAssociations shows associations as they were 60 s ago."""
    IN_USE = "in-use"
    """The refusal of a second association does not name the first."""
    NO_SUCH_ASSOCIATION = "no-such-association"
    """DescribePodIdentityAssociation answers for one that is not there as other services do."""
    EMPTY_TARGET = "empty-target"
    """An update with an empty target role changes nothing."""
    EMPTY_POLICY = "empty-policy"
    """An update with an empty session policy changes nothing."""
    PRINCIPAL_TAG = "principal-tag"
    """The tags of a pod's session are not there in its later requests."""
    ASSOCIATED_RESOURCE = "associated-resource"
    """iam:PassRole has no key iam:AssociatedResourceArn."""
    SOURCE_ARN = "source-arn"
    """EKS names the association as aws:SourceArn, and not the cluster."""


LATE_S = 90.0
"""How much too late reads are."""

LATE_FOR_PODS_S = 60.0
