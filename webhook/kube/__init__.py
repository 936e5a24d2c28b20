"""The only importer of the Kubernetes client: single calls, lists and watches, and Events.

The official client finds and renews credentials; bodies are read with msgspec into the few fields that are
needed, because at 10,000 namespaces the client's own models would not fit in memory. Calls block, so they run in
two bounded thread pools, one for what somebody waits for (Leases, certificates, look-ups of a review) and one for
all else; each watch has a thread of its own for as long as the program runs. Every outcome of a call is a value or
a ClusterError, within a deadline and a number of bytes: `errors` and `deadlines` see to it, so an
answer is always read inside the function that `Connection.in_thread` runs.
"""
