"""
The meaning: rows, responses, batches, outcomes, the ledger, and the commands of an administrator.

It speaks no HTTP and needs no secret. `worker` imports it; it imports `config` only.
"""
