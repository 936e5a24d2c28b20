"""The only importer of the Kubernetes client: single calls, lists and watches, and Events.

The official client finds and renews credentials (`access`); bodies are read with msgspec into the few fields that
are needed (`objects`), because at 10,000 namespaces the client's own models would not fit in memory. Calls block,
so they run in two bounded thread pools (`connection`), one for urgent calls (Leases, certificates, reads for a
review) and one for all others; each watch has its own thread. `errors` and `deadlines` make every outcome of a
call a value or a ClusterError, within a deadline and a number of bytes. An answer is always read inside the
function that `Connection.in_thread` runs.

`lists` and `watches` read many objects of a kind. The other files are about one kind each, and `api` has all other
single calls. Each call names the right that it needs.
"""
