"""
The names of the ledger's keys, all under one prefix.

    bulkrsvp:batches                        sorted set: batch -> when submitted, ms
    bulkrsvp:active                         set: batches that are not finished and announced
    bulkrsvp:batch:{b}                      hash: facts, flags and counts of a batch
    bulkrsvp:batch:{b}:rows                 hash: slice -> its rows, compressed, never changed
    bulkrsvp:batch:{b}:released             set: slices released to the queue and not done
    bulkrsvp:batch:{b}:throttled            sorted set: mailbox -> paused until, ms
    bulkrsvp:batch:{b}:slice:{s}            hash: row -> record; epoch, done, begun, doubted_ms,
                                            suspect:{row}, found:{row} (what its selection has
                                            found, compressed); when it is done, archive instead
                                            of its records
    bulkrsvp:batch:{b}:slice:{s}:unlogged   set: rows that are settled and perhaps not logged
    bulkrsvp:batch:{b}:announcing           string, leased: a worker that logs the batch's end
    bulkrsvp:staging:{token}                hash: rows of a submit under way; expires by itself
    bulkrsvp:worker:{w}                     string, leased: this worker lives; its facts
    bulkrsvp:mailbox:{m}                    string: worker and slice that hold this mailbox; only
                                            the slice, while calls of its dead worker may be under
                                            way and nobody has counted them
    bulkrsvp:unended                        string: there may be such calls as the next names
    bulkrsvp:unended:{m}                    sorted set: call of a dead worker -> when it must have
                                            ended, ms
    bulkrsvp:bucket:{m}                     string: the mailbox's allowance of calls
    bulkrsvp:written                        string: the latest moment that anything was written, ms
    bulkrsvp:home                           string: the history and the run of the Redis they are on
    bulkrsvp:beaten                         string: when a worker has reached the ledger last, by
                                            the clock of Redis, ms
    bulkrsvp:crew                           hash: process that may have slices open -> its lease
    bulkrsvp:inquiry                        hash: what is being asked after Redis may have forgotten
    bulkrsvp:asked                          set: processes that have still to answer
    bulkrsvp:ledger                         hash, only in the Redis of `run`: id of the ledger, and
                                            renewals of the file that stands beside its data
    bulkrsvp:throttled                      sorted set: mailbox -> paused until, ms
    bulkrsvp:away                           hash: mailbox -> how often in a row it was away
    bulkrsvp:graph                          string: every call is paused until, ms
    bulkrsvp:probe                          string, leased: the worker that tries Graph first
    bulkrsvp:lifted                         string: who has ended that pause by hand, until a
                                            worker has logged it
"""

PREFIX = "bulkrsvp:"
BATCHES = PREFIX + "batches"
ACTIVE = PREFIX + "active"
THROTTLED = PREFIX + "throttled"
AWAY = PREFIX + "away"
GRAPH = PREFIX + "graph"
WRITTEN = PREFIX + "written"
HOME = PREFIX + "home"
BEATEN = PREFIX + "beaten"
CREW = PREFIX + "crew"
INQUIRY = PREFIX + "inquiry"
ASKED = PREFIX + "asked"
LEDGER = PREFIX + "ledger"
PROBE = PREFIX + "probe"
LIFTED = PREFIX + "lifted"
BATCH = PREFIX + "batch:"
MAILBOX = PREFIX + "mailbox:"
BUCKET = PREFIX + "bucket:"
ANY_UNENDED = PREFIX + "unended"
UNENDED = PREFIX + "unended:"
WORKER = PREFIX + "worker:"

QUEUE = PREFIX + "queue"
"""The sorted set that arq keeps its job ids in."""

KEEP_S = 30 * 24 * 3600
"""How long a finished batch is kept, in seconds."""

STAGING_S = 3600
"""How long the rows of a submit that died are kept, in seconds."""


def staging(token: str) -> str:
    """Name the rows of a submit under way."""
    return f"{PREFIX}staging:{token}"


def batch(batch_id: str) -> str:
    """Name a batch's facts, flags and counts."""
    return BATCH + batch_id


def rows(batch_id: str) -> str:
    """Name a batch's rows."""
    return f"{batch(batch_id)}:rows"


def released(batch_id: str) -> str:
    """Name the set of a batch's slices that are in the queue or at work."""
    return f"{batch(batch_id)}:released"


def throttled(batch_id: str) -> str:
    """Name the mailboxes of a batch that are paused."""
    return f"{batch(batch_id)}:throttled"


def slice_records(batch_id: str, number: int) -> str:
    """Name the records of one slice."""
    return f"{slices_prefix(batch_id)}{number}"


def slices_prefix(batch_id: str) -> str:
    """Begin the names of all slices of a batch."""
    return f"{batch(batch_id)}:slice:"


def unlogged(batch_id: str, number: int) -> str:
    """Name the rows of one slice that are settled and perhaps not logged."""
    return f"{slice_records(batch_id, number)}:unlogged"


def announcing(batch_id: str) -> str:
    """Name the claim to log the end of a batch."""
    return f"{batch(batch_id)}:announcing"


def bucket(mailbox_name: str) -> str:
    """Name a mailbox's allowance of calls."""
    return BUCKET + mailbox_name


def worker(incarnation: str) -> str:
    """Name the lease of one worker."""
    return WORKER + incarnation


def mailbox(name: str) -> str:
    """Name the lease of one mailbox."""
    return MAILBOX + name


def unended(mailbox_name: str) -> str:
    """Name the calls to a mailbox that dead workers may have under way."""
    return UNENDED + mailbox_name
