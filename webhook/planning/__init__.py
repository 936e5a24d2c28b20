"""What the cluster wants compared with what AWS has: the plan that `plan`, `apply` and `observe: true` share.

`snapshot` holds both sides. `account` reads the AWS side through ports; the rest is pure. `plan` is the plan:
`placement` says which role each grant gets, `association_plan` what happens to associations, and `binding_matches`
which ServiceAccounts match the bindings badly.
"""
