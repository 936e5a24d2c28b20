"""`report`: shows who has access to each bound role."""
