"""How replicas exclude each other, by Leases in the API server.

`leases` acquires and holds any Lease. `lock` is the Lease of each role, which also names what was written. The
leader's Lease is in `controller.leader_election`. How a Lease is stored is in `kube.leases`.
"""
