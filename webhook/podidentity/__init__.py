"""EKS Pod Identity associations: one for each ServiceAccount of a binding in mode pod-identity.

`associations` is the entrance: requests, removals and passes. `association` has the pure rules,
`association_writer` calls EKS, `association_cache` has what was seen, and `association_list` says when all are
listed. Adapters are handed in.
"""
