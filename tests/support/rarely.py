"""Variants of a test that are run with the long tests only: one of the same kind always is."""

from collections.abc import Sequence
from typing import Any

import pytest


def rarely(*values: Any, name: str | None = None) -> Any:
    """Return the parameters of a variant that only `pytest -m chaos` runs."""
    return pytest.param(*values, marks=pytest.mark.chaos, id=name)


def first_always(variants: Sequence[Any]) -> list[Any]:
    """Return variants of one parameter: the first is always run, the others rarely."""
    return [variants[0], *map(rarely, variants[1:])]
