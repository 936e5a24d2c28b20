"""How replicas take turns: `leases` acquires and holds a Lease, `lock` is the one of each role, with its news."""
