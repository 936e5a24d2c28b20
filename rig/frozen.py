"""Imported last by the process that programs are forked from: what it holds is never looked at by their collector.

Looking would copy each page of it into each program (https://docs.python.org/3/library/gc.html#gc.freeze).
"""

import gc

gc.collect()
gc.freeze()
