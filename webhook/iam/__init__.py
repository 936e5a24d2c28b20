"""A role's trust policy: what it means, which change it needs, and the one writer that makes the change.

Pure rules: `trust_policy`, `conditions`, `evaluation`, `statement`, `pod_statement`, `external`, `amendment`.
`role_writer` reads and writes under the role's Lease; the others hold what it knows. Adapters are handed in:
nothing here knows Kubernetes, boto3, reviews or passes.
"""
