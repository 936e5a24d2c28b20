"""The buckets of one account, and the keys that encrypt their objects."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Bucket:
    """A bucket. `key` is the ARN of the KMS key that encrypts its objects; `lock` is how many days it locks them.

    `versions` has what a versioned bucket keeps: a key, and whether it is a delete marker.
    """

    name: str
    region: str
    key: str = ""
    policy: str = ""
    versioned: bool = False
    lock: int = 0
    objects: dict[str, bytes] = field(default_factory=dict)
    versions: list[tuple[str, bool]] = field(default_factory=list)

    def put(self, key: str, body: bytes) -> None:
        """Store an object."""
        self.objects[key] = body
        if self.versioned:
            self.versions.append((key, False))

    def delete(self, key: str) -> None:
        """Remove an object; a versioned bucket keeps it behind a delete marker, also where there is none."""
        self.objects.pop(key, None)
        if self.versioned:
            self.versions.append((key, True))

    def keys(self, prefix: str, most: int) -> Iterator[str]:
        """The first keys that begin with `prefix`."""
        yield from sorted(key for key in self.objects if key.startswith(prefix))[:most]


@dataclass
class Key:
    """A KMS key: its policy, and the principals that a grant allows operations."""

    arn: str
    policy: str
    grants: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def is_granted(self, principal: str, action: str) -> bool:
        """Whether a grant allows a principal an action, such as kms:Decrypt."""
        operation = action.removeprefix("kms:")
        return any(grantee == principal and operation in operations for grantee, operations in self.grants)


@dataclass
class VpcEndpoint:
    """A VPC endpoint of S3 and its policy. While an account has one, calls of roles to S3 go through it."""

    id: str
    service: str
    policy: str
