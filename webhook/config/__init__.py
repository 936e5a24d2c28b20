"""The configuration file: a contract with users, the chart and the tests.

`contract` is its shape, `load` reads it and says what is wrong with it in words, `bindings` makes domain objects
of it.
"""
