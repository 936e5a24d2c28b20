"""What an account needs before the first control plane: documents, the steps that are missing, chart values.

Pure: what is there is handed in, and a step is a value that can be carried out or printed as a command.
"""
