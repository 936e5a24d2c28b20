"""Names, bindings, decisions, patches, and reasons for failures and removals: what all other folders speak of.

Pure: values in, values out. Nothing here does I/O, reads a clock or logs.
"""
