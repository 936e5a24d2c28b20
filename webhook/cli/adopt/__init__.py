"""`adopt`: trust and associations that people made by hand become managed, after a person has seen the plan.

No other command edits a statement that this program did not write. `hand_made` understands such a statement,
`rules` decides which ones move, and `planning` applies that to all roles and associations (all pure). `adopting`
writes.
"""
