"""Who may call, when, and how many at once."""
