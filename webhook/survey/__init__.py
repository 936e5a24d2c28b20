"""One look at cluster and account for what people type: lists and reads once, watches nothing, changes nothing.

The looks answer the domain's snapshots. What is done about them is decided by pure rules, and done by `cli`
through the same parts that the running program uses.
"""
