"""Switches that violate what is assumed of AWS, by the control API; tests/cli/conformance shows what they do."""

import urllib.error
import urllib.request

import pytest

from rig.aws import AwsStandIn, RemoteStandIn, Violation


def test_they_are_off_until_they_are_switched_on_from_another_process(aws: AwsStandIn) -> None:
    remote = RemoteStandIn(aws.url)
    assert remote.violations == set()

    remote.violations = {Violation.IN_USE, Violation.READ_AGE}
    assert aws.violations == remote.violations == {Violation.IN_USE, Violation.READ_AGE}

    with aws.violating(Violation.SOURCE_ARN):
        assert remote.violations == {Violation.IN_USE, Violation.READ_AGE, Violation.SOURCE_ARN}
    assert remote.violations == {Violation.IN_USE, Violation.READ_AGE}


def test_one_that_is_not_there_is_refused(aws: AwsStandIn) -> None:
    url = f"{aws.url}/_standin/violations"
    request = urllib.request.Request(url, data=b'["gravity"]', method="PUT")
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(request)
    assert aws.violations == set()
