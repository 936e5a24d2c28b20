"""`conformance`: whether an account of AWS behaves as this program assumes, tried in a throw-away role.

`assumptions` is the one list: the result's rows, the switches of the stand-in, its behaviour tests and
docs/evidence/assumptions.md are made from it or compared with it. Each module of rows observes one service.
"""
