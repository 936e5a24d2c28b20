"""The measurements: `python -m bench` runs them all and writes docs/bench.md.

Each file measures one thing and says what it measured; `client` is the HTTP client fast enough not to be what is
measured, `figures` the arithmetic, `report` the page. Claims are ratios within one run: absolute numbers are of
the machine as much as of the program.
"""
