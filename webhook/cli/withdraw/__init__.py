"""`withdraw`: removes all that an installation has written, once its release is uninstalled; plan first.

`look` finds it, and `obstacles` what is still in force. `plan` decides what becomes of each, and `statements` what
becomes of a policy (both pure). `carrying_out` does it in order, and `rewriting` writes one role.
"""
