"""A role's trust policy: what it means, which change it needs, and the one writer that makes the change.

Begin with `role_writer`, which says when a role is read and written. `write_cycle` reads, plans and writes, under
the role's Lease. `amendment` works out the new policy.

- Pure rules: `trust_policy`, `statement`, `evaluation`, `external`.
- Memory: `pending` (grants and removals that are not done yet), `policy_cache` (the policy as last read),
  `recent_writes` (what a read may be too old to show, and whether it is too old or was edited).
- For people: `reasons` has the sentences about a grant that fails, such as a role that is full.

Adapters are handed in (`ports`): nothing here imports Kubernetes or boto3.

Two replicas that write the same role:

- Each reads and writes only while it holds the role's Lease. The other waits for it.
- The Lease names what the last minute's writes added and removed. The replica that waits reads that. Where the
  other one has written a subject already, its own grant ends without a write.
- The holder reads the policy and works out what it should be. It adds the subjects that are wanted, that grants
  wait for, and that the Lease names as added. It drops those that are due for removal, and those that the Lease
  names as removed. What the Lease names counts only where the holder's own watch of the cluster confirms it. So a
  stale read neither drops a subject nor brings one back.
- A write is sent only if the Lease outlasts it. A policy that should not change is not written.
- A holder that dies loses the Lease 10 s after its last renewal was seen. What it wrote and did not name in the
  Lease shows when IAM is read. Where that read is stale, the next pass adds or removes it again.
"""
