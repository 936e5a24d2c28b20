"""The running program: its parts put together, its two ports, its start and its end."""
