"""
Which Redis or Valkey it is: too old to work with, or without a patch that everybody needs.

A managed service may have patched what its version does not show, so a missing patch is a warning.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jobs.check import Check, CheckName

OLDEST: Final = (6, 2)
"""ZMSCORE and ZADD with LT came with it."""

REDIS_PATCHED: Final = {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2}
VALKEY_PATCHED: Final = {(7, 2): 11, (8, 0): 6, (8, 1): 4}
"""
The first patch of each line in which a Lua script cannot run code on the machine of the server.

That is CVE-2025-49844, of October 2025 (Redis: GHSA-4789-qfc9-5f9q and the release notes of these
versions; Valkey: those of 7.2.11, 8.0.6 and 8.1.4). Later lines began with it; older ones that are
not listed, like Redis 7.0, never got it.
"""

_UNPATCHED: Final = (
    "install Redis 6.2.20, 7.2.11, 7.4.6, 8.0.4 or 8.2.2, Valkey 7.2.11, 8.0.6 or 8.1.4, or a later"
    " one; a managed service may have patched it without a new number: ask it. Until then let"
    " nobody log in but the users that deploy/redis.md lists"
)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def judge_version(info: Mapping[str, Any], socket: str | None = None) -> Check:
    """
    Judge the version that Redis tells (Redis: INFO); `socket` is its path, if it is reached by one.

    Without the patch it passes if nobody but this user can reach that socket.
    """
    name = CheckName.REDIS_VERSION
    # Valkey tells the version of Redis that it is compatible with, beside its own.
    told = str(info.get("redis_version", ""))
    found = _VERSION.match(told)
    if found is None:
        return Check.left_out(name, "not visible", "see that it is Redis 6.2 or later, or Valkey")
    valkey = info.get("valkey_version")
    seen = f"Valkey {valkey}" if valkey else f"Redis {told}"
    if (int(found[1]), int(found[2])) < OLDEST:
        return Check.failed(name, seen, "install Redis 6.2 or later, or Valkey")
    if _is_patched(str(valkey), VALKEY_PATCHED) if valkey else _is_patched(told, REDIS_PATCHED):
        return Check.passed(name, seen)
    if socket is not None and _is_ours_alone(Path(socket)):
        return Check.passed(name, f"{seen}, without later patches; nobody else can reach it")
    flaw = "whoever may run a script there may run code on its machine (CVE-2025-49844)"
    return Check.warned(name, f"{seen}: {flaw}", _UNPATCHED)


def _is_patched(version: str, patched: Mapping[tuple[int, int], int]) -> bool:
    """Whether a version has the patch; one that hides its last number is believed to."""
    found = _VERSION.match(version)
    if found is None or found[3] is None:
        return True
    line = (int(found[1]), int(found[2]))
    return int(found[3]) >= patched[line] if line in patched else line > max(patched)


def _is_ours_alone(socket: Path) -> bool:
    """Whether a socket, or the folder that it is in, is closed to all other users but root."""
    return any(map(_is_closed, (socket, socket.parent)))


def _is_closed(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
