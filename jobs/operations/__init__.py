"""
The use cases: what can be done with batches, without click, rich or HTTP.

`Desk` is all of it, for programs. `ledger` opens the ledger, `submit` reads a file and queues it,
`status`, `results` and `plans` read, `retry`, `flags` and `graph_pause` change what is under way.
They take and return values; the caller words what is shown.
"""

from jobs.operations.desk import Desk, Status
from jobs.operations.retry import UNSENT, Choice, Retried
from jobs.operations.submit import Submitted, Wishes

__all__ = ["UNSENT", "Choice", "Desk", "Retried", "Status", "Submitted", "Wishes"]
