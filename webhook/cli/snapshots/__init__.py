"""What commands read of the cluster and the account: once, watching nothing.

`session` is what a command works with, also the ways to AWS and to the API server with which it writes. `release`
finds the configuration and the Leases of a release. `inspection` asks what the running program does not: pods with
their variables, the registration, dry runs and tokens.
"""
