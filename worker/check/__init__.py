"""
`bulkrsvp check`: whether a worker in this environment could do its work, and what hinders it.

It reads only: settings, what Redis reports of itself, a token, and of each mailbox the id of one
event. `course.py` has the order, `token.py` and `mailbox.py` what is looked at and what it means,
`workers.py` which workers are running already.
"""
