"""What keeps a control plane from its AWS identity, and the command that mends it: pure rules over what was found.

Nothing here does I/O. `survey` gathers the facts, `cli` prints the findings.
"""
