"""Keeping AWS in step with the cluster: the watch cache, and the pass that adds what is missing.

`reflector` mirrors one kind of object, `view` is what the mirrors together say, `passes` acts on it. Nothing
here imports the Kubernetes client: `ports` says what is needed of it.
"""
