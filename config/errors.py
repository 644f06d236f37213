"""
What can go wrong before or besides a call, arranged by who must act.

    BulkrsvpError            its text says what is wrong and what to do; never a traceback
    |-- InputError           the administrator corrects the file or the command (exit 2)
    |-- SettingsError        the operator changes a setting or a credential (exit 3)
    '-- LedgerUnreachable    the operator brings Redis back (exit 4)

They are raised at the boundaries and caught in one place, where a command ends. What Graph says
is not an error but a reply, which `worker/graph/verdict.py` judges.
"""


class BulkrsvpError(Exception):
    """Something that a person must act on; its `str()` is the message for that person."""

    exit_code = 2


class InputError(BulkrsvpError):
    """A row, a file or an argument is wrong; nothing was queued."""

    exit_code = 2


class SettingsError(BulkrsvpError):
    """The environment is wrong, or a credential is refused; names every variable concerned."""

    exit_code = 3


class LedgerUnreachable(BulkrsvpError):
    """Redis cannot be reached, or must not be used as it is."""

    exit_code = 4
