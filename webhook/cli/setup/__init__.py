"""`setup`: creates what an account needs before the first control plane, and writes the chart's values.

What is there is handed to pure rules; a step is a value that can be done or printed as a command.
"""
