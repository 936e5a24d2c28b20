"""Serving certificates: an authority of our own, its bundle in a store, rotation by rules, and hot reload.

Knows nothing of Kubernetes and nothing of `webhook/`: it says what it needs of a store (`store`) and tells what it
did to whoever listens (`report`). Key material is never logged, never in an exception, and never in a `repr`.
"""
