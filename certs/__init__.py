"""Serving certificates: an own authority, its bundle in a store, rotation by rules, and hot reload.

Knows nothing of Kubernetes and nothing of `webhook/`: `store` is the port to a store, and `report` the port to
logs and metrics. Key material is never logged, never in an exception, and never in a `repr`.
"""
