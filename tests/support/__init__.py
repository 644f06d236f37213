"""What tests share: programs to drive, servers to drive them against, and the pages as data."""

from pathlib import Path
from typing import Final

SUPPORT: Final = Path(__file__).parent
ROOT: Final = SUPPORT.parents[1]
