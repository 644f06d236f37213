"""
What can be done with batches: the use cases behind the commands, without click, rich or HTTP.

`ledger` opens the ledger, `submit` reads a file and queues it, `status`, `results` and `plans`
read, `retry`, `flags` and `graph_pause` change what is under way. They take and return values; who
calls them words what is shown.
"""
