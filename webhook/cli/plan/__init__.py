"""`plan`: shows what the program would add and remove.

The rules are in `webhook.planning`. `planning` reads what they need and applies the hourly limit; `shown` has the
lines and columns, also of `apply`.
"""
