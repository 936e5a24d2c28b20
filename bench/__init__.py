"""The measurements, on the real parts of the tests: `python -m bench` runs them and writes docs/evidence/bench.md.

Claims are ratios within one run: absolute numbers are of the machine as much as of the program.
"""
