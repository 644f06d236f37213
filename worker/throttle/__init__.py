"""Which calls may be made, when, and how many at once."""
