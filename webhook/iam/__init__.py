"""A role's trust policy: what it means, which change it needs, and the one writer that makes the change.

Begin with `role_writer`, which says when a role is read and written. `write_cycle` reads, plans and writes, under
the role's Lease. `amendment` works out the new policy.

- Pure rules: `trust_policy`, `statement`, `evaluation`, `external`.
- Memory: `pending` (grants and removals that are not done yet), `policy_cache` (the policy as last read),
  `recent_writes` (what a read may be too old to show, and whether it is too old or was edited).
- For people: `reasons` has the sentences about a grant that fails, such as a role that is full.

Adapters are handed in (`ports`, and `coordination.lock` for the lock): nothing here imports Kubernetes or boto3.

Two replicas that write the same role:

- Each reads and writes only while it holds the role's Lease. The other waits for it.
- The Lease names what the last minute's writes added and removed. The replica that waits reads that. Where the
  other one has written a subject already, its own grant ends without a write.
- The holder reads the policy and works out what it should be. It adds the subjects that are wanted, that grants
  wait for, and that the Lease names as added. It drops those that are due for removal. From a write that is due
  anyway it also drops those that the Lease names as removed. What the Lease names counts only where the holder's
  own watch of the cluster confirms it. So a stale read neither drops a subject nor brings one back.
- A policy that should not change is not written. Where a read lacks what was written in the last minute, it is
  more likely stale than edited: it is read again, and written only once `StaleReads` calls it an edit.
- A write is sent only if the Lease lasts 4 s longer (`write_cycle.WRITE_TIME`). A holder that is suspended right
  then can still send it late, and IAM takes the last document. Its next pass, or another replica's, then repairs
  the managed statements. An external edit that the late document lacks is lost.
- A holder that dies loses the Lease 10 s after a waiting replica first saw its last renewal (`leases.DURATION`).
  What it wrote and did not name in the Lease shows when IAM is read. Where that read is stale, the next pass adds
  or removes it again.

Times that belong together: a read can be 60 s old (`lock.REMEMBERED`), a Lease lasts 10 s (`leases.DURATION`), a
replica whose grant waits asks for the lock after 1 s (`lock._PATIENCE`), and grants gather for 0.3 s after a write
of several (`role_writer.GATHERING`).
"""
