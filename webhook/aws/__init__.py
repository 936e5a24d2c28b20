"""The only importer of boto3: IAM's trust policies behind the port that `trust` defines, and checks at start.

boto3 blocks, so every call runs in one bounded thread pool. Timeouts are short and boto3 never retries by
itself: whoever asks has a deadline and knows what a retry would mean.
"""
