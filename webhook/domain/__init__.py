"""Pure rules: names, bindings, decisions, patches, trust policies, wanted trust.

Values in, values out: nothing here does I/O, reads a clock or logs, so that every rule can be tried on
generated input.
"""
