"""`plan`: shows what the program would add and remove."""
