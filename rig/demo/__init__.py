"""`make demo`: one control plane gets its AWS identity, or many at once, told to a person as it happens.

`__main__` reads the call and sets the scene, `story` follows one control plane, `crowd` many at once, `bucket` has
how the stories of one end, `screen` prints. Everything shown is measured or read back from the cluster and the
account; nothing is staged.
"""
