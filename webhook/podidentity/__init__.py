"""EKS Pod Identity associations: one for each ServiceAccount of a binding in mode pod-identity.

`association` has the pure rules, `association_cache` what was listed and described, `makers` which replica makes
what, and `associations` does it. Adapters are handed in.
"""
