"""`adopt`: trust and associations that people made by hand become managed, after a person has seen the plan.

Only here and in `withdraw` are external statements edited, and never without a person's command.
"""
