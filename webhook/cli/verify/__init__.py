"""`verify`: finds what keeps a control plane from its AWS identity, and shows the command that corrects it.

`run` is one run. `control_planes` reads the facts, which `findings` defines. `diagnosis` judges one control plane,
in the order in which its identity comes about; `trust`, `near_misses`, `associations` and `pods` are parts of
that. `webhook` judges the program itself, `trust_policies` those of all roles. `assuming` asks STS, and `bucket`
goes on to the backup. `command` prints the findings.
"""
