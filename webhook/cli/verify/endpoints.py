"""Whether AWS can be reached: by this command, and by the webhook as it reported it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from webhook.cli.verify.findings import Check, Finding, broken, unknown
from webhook.cli.verify.webhook import upgrade_with
from webhook.model.aws_errors import CANNOT_REACH, Service

if TYPE_CHECKING:
    from webhook.cli.verify.findings import Shared
    from webhook.model.aws_errors import AwsError

_REPORTED = re.compile(rf"{CANNOT_REACH} (?:{'|'.join(map(str, Service))}) at .*")
_NOT_TRUSTED = "TLS certificate is not trusted"


def check_endpoint(service: Service, error: AwsError) -> Finding:
    """A service that this command cannot reach; what is its own is then not known."""
    return unknown(Check(service.value), f"this command {error.unreachable}" if error.unreachable else str(error))


def unreached_by_webhook(check: Check, why: str, reported: str, shared: Shared) -> Finding | None:
    """What is missing because the webhook cannot reach a service, if that is what it reported; it tries again."""
    if (found := _REPORTED.search(reported)) is None:
        return None
    finding = broken(check, f"{why}, because the webhook {found[0]}")
    if _NOT_TRUSTED not in found[0]:
        return finding
    return replace(finding, template=upgrade_with(shared, "aws.caBundle.name=NAME"))
