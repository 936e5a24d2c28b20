"""Real Kubernetes clusters for demo, tests and benches: real programs, simulated nodes, no network.

`Cluster` starts one and takes it down again; `objects` builds what Upbound Spaces would put in it. Nothing
here knows the program under test or AWS.
"""

from rig.kubernetes.api import Api, ApiError, Reply
from rig.kubernetes.cluster import Cluster
from rig.kubernetes.registration import Registration

__all__ = ["Api", "ApiError", "Cluster", "Registration", "Reply"]
