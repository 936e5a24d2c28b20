"""Names, label selectors, bindings, decisions and patches: what all other folders speak of.

Pure: values in, values out. Nothing here does I/O, reads a clock or logs.
"""
