"""`restart`: restarts the Deployments whose pods started without identity.

`restart_plan` decides which (pure), and `restarting` restarts a few at a time.
"""
