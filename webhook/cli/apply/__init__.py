"""`apply`: what a person approved, done once, by the writers of the running program and under their locks.

So `apply` may run beside replicas that serve: they take turns at each role, and neither drops what the other
wrote. `engine` carries out the plan. `retirement` decides what `--retire-issuer` and `--retire-role` remove, and
`retiring` removes it.
"""
