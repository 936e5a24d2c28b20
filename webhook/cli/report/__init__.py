"""`report`: shows which principals may assume each bound role.

`access` is about ServiceAccounts of this cluster, `statements` about all statements, and has the whole report.
"""
