"""What the ledger stores, and how it is read back: batches, slices, records, archives."""
