"""What a person has approved, carried out once: by the running program's own writers and under its locks.

So `apply` may be run beside replicas that serve: they and it take turns at each role, and neither drops what the
other wrote.
"""
