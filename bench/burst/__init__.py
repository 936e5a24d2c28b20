"""The burst: hundreds of control planes at once, by this program and by the two ways people write first.

`load` creates them through a real API server, `naive` is the two ways, `run` sets one run up and `verdict` says
what became of it; `series` has all runs, and keeps burst.md, burst.json and burst.svg of docs/evidence,
as `page` and `plot` make them of the figures.
"""
