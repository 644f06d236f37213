"""Batches in the ledger: made, counted, listed, reopened, and left to expire."""
