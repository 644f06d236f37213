"""From checked rows to the slices of a batch, on disk until all of them are known to be good."""
