"""The burst: hundreds of control planes at once, by this program and by the two ways people write first.

`load` creates them through a real API server, `naive` is the two ways, `run` sets one run up and `verdict` says
what became of it; `page` and `plot` write docs/burst.md, docs/burst.json and docs/burst.svg. `python -m
bench.burst` runs all.
"""
