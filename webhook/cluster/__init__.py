"""The only importer of the Kubernetes client: single calls, lists and watches, and Events.

The official client finds and renews credentials; bodies are read with msgspec into the few fields that are
needed, because at 10,000 namespaces the client's own models would not fit in memory. Calls block, so they run in
one bounded thread pool; each watch has a thread of its own for as long as the program runs.
"""
