"""The only importer of boto3: trust policies, associations, OIDC providers, and who the program is to AWS.

boto3 blocks, so every call runs in one bounded thread pool. Timeouts are short, and boto3 does not retry by
itself: each caller has a deadline and decides about a retry. Only commands that read have the SDK try again
(`attempts`).

- Any call: `calls` runs it, `clients` has the SDK's clients, `exchange` what one call sends and gets, `failures`
  what an error means, and `reachability` which services answer.
- The running program: `trust_policies`, `associations`, `cluster` (EKS cluster and OIDC provider), and `caller`.
- Commands alone: `association_tags`, `buckets`, `eks_clusters`, `policies_around`, `sessions` and `simulation`.
"""
