"""What people write first, as a webhook of its own, to compare with: `python -m bench.burst.naive`.

Each review of a ServiceAccount is answered once its own grant is done: GetRole, one subject more in the one
statement for this cluster, UpdateAssumeRolePolicy, all with botocore's default retries, then the annotation. An
error of IAM is an error of the review. `unlocked` does nothing about others who do the same at that moment;
`locked` holds a lock of the role meanwhile. One process, so that a lock in memory is enough. With several roles a
subject starts at one by its hash, and a full one sends it to the next.
"""

import argparse
import asyncio
import base64
import json
import threading
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

import boto3
import uvicorn
from anyio.to_thread import current_default_thread_limiter
from botocore.config import Config
from fastapi import FastAPI

ROLE_ANNOTATION = "eks.amazonaws.com/role-arn"
THREADS = 128
"""As many grants at once as reviews arrive, and a connection for each: the ways differ in nothing but the lock."""

Lock = Callable[[str], AbstractContextManager[Any]]


class Grants:
    """Adds subjects to roles, one write for each; `roles` are ARNs, `provider` is the OIDC provider's."""

    def __init__(self, roles: list[str], provider: str, lock: Lock) -> None:
        self._iam = boto3.client("iam", config=Config(max_pool_connections=THREADS))
        self._roles = roles
        self._provider = provider
        self._lock = lock

    def grant(self, subject: str) -> str:
        """Have a role trust the subject and return its ARN. Raises ClientError."""
        start = zlib.crc32(subject.encode()) % len(self._roles)
        for role in self._roles[start:] + self._roles[:start]:
            try:
                with self._lock(role):
                    self._add(role.rpartition("/")[2], subject)
            except self._iam.exceptions.LimitExceededException:
                continue
            return role
        raise RuntimeError(f"no role has room for {subject}")

    def _add(self, name: str, subject: str) -> None:
        document: Any = self._iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        subjects = self._subjects_in(document)
        if subject in subjects:
            return
        subjects.append(subject)
        self._iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(document))

    def _subjects_in(self, document: dict[str, Any]) -> list[str]:
        """The list of subjects in this cluster's statement, which is added where there is none."""
        issuer = self._provider.partition(":oidc-provider/")[2]
        for statement in document["Statement"]:
            if statement["Principal"].get("Federated") == self._provider:
                equals = statement["Condition"]["StringEquals"]
                if isinstance(equals[f"{issuer}:sub"], str):
                    equals[f"{issuer}:sub"] = [equals[f"{issuer}:sub"]]
                subjects: list[str] = equals[f"{issuer}:sub"]
                return subjects
        subjects = []
        condition = {"StringEquals": {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": subjects}}
        document["Statement"].append(
            {
                "Effect": "Allow",
                "Principal": {"Federated": self._provider},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": condition,
            }
        )
        return subjects


def application(grants: Grants) -> FastAPI:
    """The webhook: POST /mutate."""

    @asynccontextmanager
    async def with_threads(_: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = THREADS
        yield

    app = FastAPI(lifespan=with_threads)

    @app.post("/mutate")
    def mutate(review: dict[str, Any]) -> dict[str, Any]:
        request = review["request"]
        answer = {"uid": request["uid"], "allowed": True}
        if not request.get("dryRun"):
            subject = f"system:serviceaccount:{request['namespace']}:{request['name']}"
            annotations = request["object"]["metadata"].get("annotations") or {}
            annotations[ROLE_ANNOTATION] = grants.grant(subject)
            patch = [{"op": "add", "path": "/metadata/annotations", "value": annotations}]
            answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}

    return app


def locks(way: str) -> Lock:
    """The lock of a way: none, or one for each role."""
    if way == "unlocked":
        return lambda _: nullcontext()
    held: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
    return lambda role: held[role]


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=("unlocked", "locked"))
    for name in ("--port", "--cert", "--key", "--provider"):
        parser.add_argument(name, required=True)
    parser.add_argument("--role", action="append", required=True)
    chosen = parser.parse_args()
    grants = Grants(chosen.role, chosen.provider, locks(chosen.way))
    config = uvicorn.Config(
        application(grants),
        host="127.0.0.1",
        port=int(chosen.port),
        ssl_certfile=chosen.cert,
        ssl_keyfile=chosen.key,
        timeout_keep_alive=120,
        log_level="warning",
    )
    asyncio.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
