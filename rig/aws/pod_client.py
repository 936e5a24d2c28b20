"""What a pod's SDK does with the variables that EKS injected, where no pod really runs.

The token file would be mounted by a kubelet, so its content is given; the agent would be at a link-local address
of the node, so its URL is.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from botocore.credentials import ContainerProvider
from botocore.exceptions import CredentialRetrievalError

from rig.aws.callers import Credentials
from rig.aws.endpoint import Endpoint

FULL_URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"


@dataclass(frozen=True)
class Fetched:
    """What came of it: the ARN that AWS knows the pod by, or why there are no credentials."""

    arn: str = ""
    reason: str = ""
    credentials: Credentials | None = None

    @property
    def ok(self) -> bool:
        """Whether there are credentials."""
        return bool(self.arn)


def fetch(aws: Endpoint, agent_url: str, variables: Mapping[str, str], token: str) -> Fetched:
    """Get a pod's credentials as an unmodified botocore does, and ask AWS with them who that is.

    Raises `KeyError` where the pod's variables are not those of Pod Identity.
    """
    if not {FULL_URI, TOKEN_FILE} <= variables.keys():
        raise KeyError(f"the pod has {sorted(variables)}, and not {FULL_URI} and {TOKEN_FILE}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "token")
        file.write_text(token)
        try:
            found = ContainerProvider(environ={FULL_URI: agent_url, TOKEN_FILE: str(file)}).load()
        except CredentialRetrievalError as error:
            return Fetched(reason=str(error))
    frozen = found.get_frozen_credentials()
    credentials = Credentials(str(frozen.access_key), str(frozen.secret_key), frozen.token)
    return Fetched(aws.client("sts", credentials).get_caller_identity()["Arn"], credentials=credentials)
