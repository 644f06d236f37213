"""Slices that are open: taken, written to, closed."""
