"""`report`: shows which principals may assume each bound role."""
