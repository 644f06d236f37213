"""
The names of the fields in the ledger's hashes: the one list of them.

`jobs/ledger/keys.py` names the hashes themselves. The scripts in `jobs/ledger/lua/` spell the same
names; tests/ledger/test_fields.py compares them with this list. A name that ends in a colon begins
those of several fields.
"""

from enum import Enum


class BatchField(bytes, Enum):
    """The facts, flags and counts of a batch; `jobs/ledger/forms/batch.py` says what they mean."""

    FINGERPRINT = b"fingerprint"
    VERSION = b"version"
    TOTAL = b"total"
    OPEN = b"open"
    DUPLICATES = b"duplicates"
    SLICES = b"slices"
    CURSOR = b"cursor"
    SUBMITTED_AT_MS = b"submitted_at_ms"
    NOT_BEFORE_MS = b"not_before_ms"
    DEADLINE_MS = b"deadline_ms"
    ALLOWED_MS = b"allowed_ms"
    STARTED_AT_MS = b"started_at_ms"
    FINISHED_AT_MS = b"finished_at_ms"
    CHECK_FIRST = b"check_first"
    PLAN = b"plan"
    FINDING = b"finding"
    PAUSED = b"paused"
    CANCELLED = b"cancelled"
    ANNOUNCED = b"announced"
    RETRYING = b"retrying"
    EXPIRY = b"expiry"
    KEPT_MS = b"kept_ms"
    DOUBTED_MS = b"doubted_ms"
    WAKES = b"wakes"
    APPLIED = b"applied"
    CALLS = b"calls"
    WAITS = b"waits"
    OUTCOME = b"outcome:"
    UNREADABLE = b"unreadable:"


class SliceField(bytes, Enum):
    """What a slice has beside its records, which are under the numbers of their rows."""

    EPOCH = b"epoch"
    DONE = b"done"
    BEGUN = b"begun"
    DOUBTED_MS = b"doubted_ms"
    ARCHIVE = b"archive"
    FOUND = b"found:"
    SUSPECT = b"suspect:"


class InquiryField(bytes, Enum):
    """What is asked, and answered, after Redis may have forgotten something."""

    ID = b"id"
    WORD = b"word"
    HISTORY = b"history"
    BEATEN_MS = b"beaten_ms"
    WRITTEN_MS = b"written_ms"
    REACHED_MS = b"reached_ms"
    UNSURE = b"unsure"
    WHOLE = b"whole"
    SLICES = b"slices"
    BATCH = b"batch:"
    SLICE = b"slice:"
