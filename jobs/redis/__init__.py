"""Redis itself: how it is reached, and what it must be."""
