"""
The ledger: what Redis remembers, and the only place that knows its keys.

`keys` names them. `batches` is the administrator's side: commit a batch, raise its flags, count
it, read it. `slices` is the worker's side: open a slice, write marks and records, close it.
`archive` packs the records of a slice that is done. `leases` says who may work: workers,
mailboxes, pauses. Each script in `lua/` is one step that nothing can come between, and begins with
its contract.
"""
