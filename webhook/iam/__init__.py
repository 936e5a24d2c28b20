"""A role's trust policy: what it means, which change it needs, and the one writer that makes the change.

Pure rules: `trust_policy`, `evaluation`, `statement`, `external`, `amendment`. `role_writer` decides when to read
and write, `write_cycle` does it under the role's Lease. Three files hold what they know: `policy_cache` the policy
as last read, `recent_writes` what a read may be too old to show, `pending_removals` what is approved for removal.
Adapters are handed in: nothing here knows Kubernetes, boto3, reviews or passes.

Where two replicas write the same role, each reads and writes only while it holds the role's Lease. The Lease names
what the last minute's writes added and removed. The next holder adds that to what it reads, where its own watch of
the cluster confirms it, so that a stale read neither drops a subject nor brings one back.
"""
