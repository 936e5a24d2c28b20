"""`setup`: creates what an account needs before the first control plane, and writes files for what comes next.

`asked` is what a person asked for, `desired` the account as it should be, `found` what is there. `steps` compares
the two (pure): one list of steps, which `carrying_out` makes, `shown` prints as commands, and `terraform` writes
as a configuration. Nothing here is imported by other commands.
"""
