"""The program with `observe: true`: it lets reviews pass unchanged, plans, and shows the plan.

It plans by the same rules as `mxp-identity plan`. No writer, reconciler or pruner is imported here, and the ways
to AWS and to the API server that it is given refuse to write (`server.parts`).
"""
