"""Making AWS trust a ServiceAccount: one writer per role, writes shared by all who wait, roles in pools.

`ports` says what is needed of AWS and of the lock; adapters are handed in at start. Time is the event loop's
clock, so a test that owns the loop owns the time. Nothing here knows Kubernetes or boto3.
"""
