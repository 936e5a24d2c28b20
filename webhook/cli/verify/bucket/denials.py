"""What a probe found, as findings: a denial with AWS's words, the kind of policy, and what corrects it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from webhook.aws.policies_around import read_boundary, read_bucket_policy, read_endpoints
from webhook.cli.setup.policies import bucket_statements, key_statement
from webhook.cli.verify.bucket import fixes
from webhook.cli.verify.bucket.access_denied import Denial, PolicyKind, read_denial
from webhook.cli.verify.bucket.fixes import exempting, for_principal, for_role_alone, with_statements
from webhook.cli.verify.findings import Check, Finding, broken, note, ok, unknown
from webhook.model.aws_errors import AwsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from webhook.aws.buckets import S3Answer
    from webhook.aws.calls import AwsCalls
    from webhook.cli.verify.bucket.probing import Place, Probed
    from webhook.model.names import RoleArn

_KEY = ":kms:"
_OF_THE_ORGANIZATION = frozenset({PolicyKind.SERVICE_CONTROL, PolicyKind.RESOURCE_CONTROL})


@dataclass(frozen=True, slots=True)
class Tried:
    """Who tried to reach which place. `granted` is the prefix of all of the configuration's objects."""

    calls: AwsCalls
    role: RoleArn
    place: Place
    granted: str

    @property
    def url(self) -> str:
        """The place, for a person."""
        return f"s3://{self.place.bucket}/{self.place.prefix}"


async def findings_of(probed: Probed, tried: Tried) -> AsyncIterator[Finding]:
    """A finding for each thing that is denied, and for what is left; one that all is well."""
    bad = [one for one in probed.answers if _is_bad(one, tried.place)]
    said: set[str] = set()
    for answer in bad:
        finding = await _finding(answer, tried)
        if finding.message not in said:
            yield finding
        said.add(finding.message)
    if probed.failed:
        yield unknown(Check.BUCKET, f"{tried.url}: {probed.failed}")
    if probed.left:
        why = f"the probe s3://{tried.place.bucket}/{probed.left} could not be removed"
        command = fixes.delete_object(tried.place.bucket, probed.left, tried.place.region)
        yield broken(Check.BUCKET, why, command)
    if probed.unwritten:
        yield note(Check.BUCKET, "PutObject was not tried: neither the role nor you may remove an object")
    if not (bad or probed.failed or probed.left or probed.unwritten):
        yield ok(Check.BUCKET, f"List, Put, Get and Delete of an object in {tried.url} are allowed")


def _is_bad(answer: S3Answer, place: Place) -> bool:
    """Whether it stands in the way. An object that was not written is missing, where reading is allowed."""
    if answer.operation == "GetObject" and answer.is_missing:
        return False
    return bool(answer.code) or answer.region not in {"", place.region}


async def _finding(answer: S3Answer, tried: Tried) -> Finding:
    bucket, region = tried.place.bucket, tried.place.region
    if answer.operation == "HeadBucket" and answer.is_missing:
        return broken(Check.BUCKET, f"bucket {bucket} does not exist")
    if answer.operation == "HeadBucket" and answer.region not in {"", region}:
        return broken(Check.BUCKET, f"bucket {bucket} is in {answer.region}, and not in {region}")
    if not answer.is_denied:
        return unknown(Check.BUCKET, f"{tried.url}: {answer.operation}: {answer.code}: {answer.message}")
    denial = read_denial(answer.message)
    kind = f"the {denial.kind} " if denial.kind else ""
    what = f"{kind}denies {denial.action or answer.operation} in {tried.url}"
    try:
        fix, advice = await _correction(denial, tried)
    except AwsError as error:
        fix, advice = None, f"; the command that corrects it needs to read a policy: {error}"
    return broken(Check.BUCKET, f"{what}: {answer.code}: {denial.said}{advice}", fix)


async def _correction(denial: Denial, tried: Tried) -> tuple[str | None, str]:
    """The command, or what to do where no command does it. Raises AwsError where a policy cannot be read."""
    role, place = tried.role, tried.place
    match denial.kind:
        case PolicyKind.IDENTITY if not denial.explicit:
            if _KEY in denial.resource:
                return fixes.allow_key(role, denial.resource), ""
            return fixes.allow_bucket(role, place.bucket, tried.granted), ""
        case PolicyKind.IDENTITY:
            return None, f"; remove the Deny from the policies of {role.name}"
        case PolicyKind.BOUNDARY:
            return await _of_boundary(denial, tried)
        case PolicyKind.ENDPOINT:
            return await _of_endpoint(denial, tried)
        case PolicyKind.RESOURCE if _KEY in denial.resource:
            if denial.explicit:
                return None, "; remove the Deny from the policy of the key"
            return fixes.grant_key(role, denial.resource), ""
        case PolicyKind.RESOURCE:
            return await _of_bucket(denial, tried)
        case kind if kind in _OF_THE_ORGANIZATION:
            return None, "; the administrator of your organization in AWS can change that policy"
    places = "the role, its boundary, the bucket, the key, the VPC endpoint and the organization"
    return None, f"; AWS does not say which policy: see those of {places}"


async def _of_boundary(denial: Denial, tried: Tried) -> tuple[str | None, str]:
    found = await read_boundary(tried.calls, tried.role)
    if denial.explicit or found is None:
        return None, f"; remove the Deny from the permissions boundary of {tried.role.name}"
    arn, document = found
    return fixes.write_boundary(arn, with_statements(document, _needed(denial, tried))), ""


async def _of_endpoint(denial: Denial, tried: Tried) -> tuple[str | None, str]:
    """An endpoint that is the only one of the region is the one that denies it."""
    found = await read_endpoints(tried.calls)
    if len(found) != 1:
        return (
            None,
            f"; the region has {len(found)} VPC endpoints of S3 ({', '.join(found)}): correct the pods' one",
        )
    ((endpoint, document),) = found.items()
    if denial.explicit:
        changed = exempting(document, tried.role, denial.action, denial.resource)
    else:
        changed = with_statements(document, for_role_alone(_needed(denial, tried), tried.role))
    return fixes.write_endpoint_policy(endpoint, changed) if changed else None, ""


async def _of_bucket(denial: Denial, tried: Tried) -> tuple[str | None, str]:
    place, role = tried.place, tried.role
    document = await read_bucket_policy(tried.calls, place.bucket, place.region) or {}
    if denial.explicit:
        changed = exempting(document, role, denial.action, denial.resource)
    else:
        changed = with_statements(document, for_principal(_needed(denial, tried), role))
    return fixes.write_bucket_policy(place.bucket, place.region, changed) if changed else None, ""


def _needed(denial: Denial, tried: Tried) -> list[dict[str, object]]:
    """What a policy that limits has to allow, which is about keys too in a boundary."""
    if _KEY in denial.resource:
        return [key_statement(denial.resource)]
    return bucket_statements(tried.role.partition, tried.place.bucket, tried.granted)
