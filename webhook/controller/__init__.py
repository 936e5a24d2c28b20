"""Keeping AWS in step with the cluster: the cluster cache, the reconciler that adds, and the pruner that removes.

- What is known: `reflector` mirrors one kind of object, and `cluster_cache` joins the mirrors. `former_namespaces`
  has those that are no longer selected, `live_reads` what was read beside the watch. `desired_state` answers what
  the cluster wants in each role.
- Every replica runs `reconciler`, and `unused` records what is unused and since when.
- The leader (`leader_election`) runs `pruner`, whose approvals are in `approved_removals`, `binding_conflicts`,
  and what `remediation` does about pods without identity.

Nothing here imports the Kubernetes client: `ports` says what is needed of it.
"""
