"""`migrate`: moves a binding's ServiceAccounts from IRSA to Pod Identity, or back, without a pod losing access.

`session` reads how far the binding is. `mode_readiness` judges each way, and `rules` at which step a
ServiceAccount is. `migrating` carries that out, and `replacing` replaces pods.
"""
