"""`restart`: restarts the Deployments whose pods started without identity."""
