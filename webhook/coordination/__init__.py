"""Leases: how replicas take turns at a role, and what they tell each other through the Lease's record."""
