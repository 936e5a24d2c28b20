"""The configuration file: a contract with users, the chart and the tests.

`contract` is its shape, `load` reads it and reports what is wrong, `bindings` makes domain objects
of it.
"""
