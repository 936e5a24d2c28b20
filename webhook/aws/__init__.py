"""The only importer of boto3: trust policies, associations, OIDC providers, and who the program is to AWS.

boto3 blocks, so every call runs in one bounded thread pool. Timeouts are short and boto3 never retries by
itself: each caller has a deadline and decides about a retry.
"""
