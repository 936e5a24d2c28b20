"""`verify`: finds what keeps a control plane from its AWS identity, and shows the command that corrects it.

`facts` is what was read, the other rules turn it into `findings`; `command` prints them.
"""
