"""
The worker: Graph, tokens, throttling, slices, and the process that joins them.

Read `slice/work.py` first: it has the way of a response, in order.
"""
