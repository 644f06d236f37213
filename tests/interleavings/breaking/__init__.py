"""Products broken on purpose, each in one way."""
