"""The calls for one entry of a slice, and what is done after each reply."""
