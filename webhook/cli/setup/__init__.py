"""`setup`: creates what an account needs before the first control plane, and writes files for what comes next.

`run` is one run. `asked` is what a person asked for, `prerequisites` the account as it should be and as it is,
with its `policies`, and `account` reads it. `refusals` has what is refused because another webhook, bucket or
person has it. `steps` compares the two accounts (pure): one list of steps, which `carrying_out` makes, `shown`
prints as commands, and `terraform` writes as a configuration. `release` and `spaces` have the values of both
charts.
"""
