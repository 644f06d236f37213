"""
All orders of events that a small batch can meet, up to a bound: the worker's code in steps.

Nothing of the worker is told again here but arq's loop around a slice (`staff.py`): its coroutines
run in a loop of ours (`loop.py`), and what they ask of Redis and of Graph waits until the explorer
chooses it (`actors.py`). Redis is a real one with the real scripts (`ledger.py`); Graph stands in
memory (`calendar.py`); time passes when the explorer says so (`nature.py`). `moves.py`, `faults.py`
and `passing.py` say what may happen next, `explorer.py` tries all of it, `claims.py` says what must
hold, and `broken.py` what has to be found in a product that is broken on purpose.

    uv run python -m tests.interleavings NAME ["SCHEDULE"]
"""
