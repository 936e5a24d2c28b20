"""What EKS's control plane does between an association and the pods: it tells its webhook, a while later.

The webhook decides by a file of identities, not by the API. Here the file is written from the stand-in's
associations as they were `lag` seconds ago.
"""

import threading
from types import TracebackType
from typing import Self

from rig.aws.standin import AwsStandIn
from rig.kubernetes.eks import EksWebhook

EKS_LAG_S = (5.0, 15.0)
"""How long it takes on EKS, by what people report (eks-pod-identity-agent#52, eksctl#7709)."""

_POLL_S = 0.05


class Identities:
    """Keeps the webhook's file at what the stand-in says; start and stop it with `with`."""

    def __init__(self, aws: AwsStandIn, cluster: str, webhook: EksWebhook, lag: float = 0.0) -> None:
        self.lag = lag
        self._aws, self._cluster, self._webhook = aws, cluster, webhook
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="eks-identities", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        written: list[tuple[str, str]] = []
        while not self._stopped.wait(_POLL_S):
            found = self._aws.known_to_pods(self._cluster, self.lag)
            identities = sorted((one.namespace, one.service_account) for one in found)
            if identities != written:
                self._webhook.set_associations(identities)
                written = identities
