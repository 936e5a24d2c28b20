"""A second opinion on trust policies: versitygw's evaluator, which this project had no part in.

The evaluator knows web identities only. It does not see that a Deny for `AWS: "*"` would also stop a web
identity, and it has no size quota. It refuses to read EKS's service principal: which statements are about a
service is decided by our own comparison of names, all else about them by its evaluator of identity policies.
"""

import contextlib
import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rig.tools import binary


class InvalidTrustPolicyError(ValueError):
    """The evaluator's grammar refuses the document, as IAM would with MalformedPolicyDocument."""


class OracleStoppedError(RuntimeError):
    """The oracle's process ended while it was asked."""


@dataclass(frozen=True)
class Judgement:
    """What the oracle says of one call; `reason` is for people."""

    allowed: bool
    reason: str


class TrustOracle:
    """Says whether a trust policy lets a web identity assume the role; a context manager, thread-safe.

    Statements for AWS services are removed before the judgement: the evaluator refuses to read
    `pods.eks.amazonaws.com`, and they have no say over a web identity.
    """

    def __init__(self, program: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [program or binary("trustoracle")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            bufsize=1,
        )

    def allows(
        self,
        document: Mapping[str, Any] | str,
        *,
        provider_arn: str,
        issuer: str,
        subject: str,
        audience: str,
    ) -> bool:
        """Return whether AssumeRoleWithWebIdentity succeeds; the parameters are those of `judge`."""
        return self.judge(
            document, provider_arn=provider_arn, issuer=issuer, subject=subject, audience=audience
        ).allowed

    def judge(
        self,
        document: Mapping[str, Any] | str,
        *,
        provider_arn: str,
        issuer: str,
        subject: str,
        audience: str,
    ) -> Judgement:
        """Return the judgement on a token of `issuer`, in an account that has the one OIDC provider.

        The issuer may be given with its scheme, as in the token, or without, as in condition keys. Raises
        `InvalidTrustPolicyError` for a document that is none.
        """
        return self._judged(
            {
                "policy": document if isinstance(document, str) else json.dumps(document),
                "provider": provider_arn,
                "issuer": issuer.removeprefix("https://"),
                "subject": subject,
                "audience": audience,
            }
        )

    def judge_service(
        self,
        document: Mapping[str, Any] | str,
        *,
        service: str,
        actions: Sequence[str],
        context: Mapping[str, Sequence[str]],
    ) -> Judgement:
        """Return the judgement on an AWS service that wants to do all of these actions.

        `context` maps condition keys to the request's values. Raises `InvalidTrustPolicyError` for a document that
        is none.
        """
        return self._judged(
            {
                "policy": document if isinstance(document, str) else json.dumps(document),
                "service": service,
                "actions": list(actions),
                "context": {key: list(values) for key, values in context.items()},
            }
        )

    def _judged(self, question: Mapping[str, Any]) -> Judgement:
        answer = self._ask(question)
        if error := answer.get("error"):
            raise InvalidTrustPolicyError(f"not a trust policy: {error}")
        return Judgement(bool(answer["allowed"]), str(answer.get("reason", "")))

    def close(self) -> None:
        """End the process. May be called twice."""
        with contextlib.suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()
        self._process.wait(timeout=10)
        if self._process.stdout:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        line = json.dumps(question) + "\n"
        with self._lock:
            if self._process.stdin is None or self._process.stdout is None:
                raise OracleStoppedError("the oracle has no pipes")
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
                reply = self._process.stdout.readline()
            except (OSError, ValueError) as error:
                raise OracleStoppedError("the oracle's process has ended: open a new one") from error
        if not reply:
            raise OracleStoppedError(f"the oracle ended with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(reply)
        return answer
