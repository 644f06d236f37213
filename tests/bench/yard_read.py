"""
What reading alone takes: Python's own `csv` or `json` reads a file of rows, and forgets it.

The yardstick of `submit`, which also checks the rows, sorts them by mailbox, packs them, and has
Redis keep them.
"""

import csv
import json
import sys
from collections import deque
from pathlib import Path


def read_all(file: Path) -> None:
    """Read every row as a dictionary."""
    with file.open(newline="") as lines:
        rows = csv.DictReader(lines) if file.suffix == ".csv" else map(json.loads, lines)
        deque(rows, maxlen=0)


if __name__ == "__main__":
    read_all(Path(sys.argv[1]))
