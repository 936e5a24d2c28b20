"""Keeping AWS in step with the cluster: the cluster cache, the reconciler that adds, and the pruner that removes.

`reflector` mirrors one kind of object, and `cluster_cache` joins the mirrors. Nothing here imports the Kubernetes
client: `ports` says what is needed of it.
"""
