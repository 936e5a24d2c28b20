"""EKS Pod Identity associations: one for each ServiceAccount of a binding in mode pod-identity.

`associations` is the entrance. `association` has the pure rules, `association_writer` calls EKS, `association_list`
says when the cluster is listed, `association_cache` has what was seen, `fallback` says which replica creates what.
Adapters are handed in.
"""
