"""What the cluster wants compared with what AWS has: the plan that `plan`, `apply` and `observe: true` share.

`snapshot` holds both sides. `account` reads the AWS side through ports; the rest is pure.
"""
