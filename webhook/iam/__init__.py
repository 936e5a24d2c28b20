"""A role's trust policy: what it means, which change it needs, and the one writer that makes the change.

Begin with `role_writer`, which says when a role is read and written. `write_cycle` reads and writes, under the
role's Lease. `amendment` works out the new policy.

- Pure rules: `trust_policy`, `statement`, `evaluation`, `external`.
- Memory: `policy_cache` (the policy as last read), `recent_writes` (what a read may be too old to show),
  `stale_reads` (whether it is too old, or was edited), `pending_removals` (what is approved for removal).
- For people: `reasons`, `statement_words`, `gauges`.

Adapters are handed in (`ports`): nothing here imports Kubernetes or boto3.

Two replicas that write the same role:

- Each reads and writes only while it holds the role's Lease. The other waits for it.
- The Lease names what the last minute's writes added and removed. Who waits reads that, and ends its own grant
  where the other replica has written the subject already.
- The holder reads the policy, then writes what it read, with what is wanted and what the Lease names as added, and
  without what is to be removed or what the Lease names as removed. It counts of the Lease what its own watch of
  the cluster confirms. So a stale read neither drops a subject nor brings one back.
- A write is sent only if the Lease outlasts it.
- A holder that dies loses the Lease 10 s after its last renewal was seen. What it wrote and did not name in the
  Lease shows when IAM is read. Where that read is stale, the next pass adds or removes it again.
"""
