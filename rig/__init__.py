"""A laptop-size Space."""
