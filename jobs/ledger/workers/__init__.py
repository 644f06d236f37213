"""Workers in the ledger: who lives, what they hold, and which Redis they trust."""
