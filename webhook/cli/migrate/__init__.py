"""`migrate`: moves a binding's ServiceAccounts from IRSA to Pod Identity, or back, without a pod losing access."""
