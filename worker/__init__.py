"""
The means: Graph, tokens, throttling, the process; and where the program is put together.

Read `slice/work.py` first: it is the way of a response, told in order.
"""
