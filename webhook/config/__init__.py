"""The configuration file: a contract with users, the chart and the tests.

`contract` is its shape, with the defaults. `load` reads it and reports what is wrong. `bindings` makes domain
objects of it, and refuses what only shows in several bindings together. `wording` begins the messages.
`runtime_environment` has what is not in the file: the namespace and the name of this process.
"""
