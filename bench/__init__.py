"""The measurements, on the same real parts as the tests: `python -m bench` runs them and writes docs/bench.md.

Claims are ratios within one run: absolute numbers are of the machine as much as of the program.
"""
