"""What is done about pods without identity: they are listed, refused by the gate, retried, or restarted."""
