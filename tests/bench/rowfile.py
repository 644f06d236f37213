"""
Files of responses for the benchmarks: as many rows and mailboxes as wanted, with ids like Graph's.

Of an id of 152 letters, 30 are the event's own; the others are the same within a calendar. Rows
go round the mailboxes, both actions in turn. None is held in memory.
"""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256, sha512
from pathlib import Path
from typing import Final

COMMENT: Final = "Ada has left Contoso; please take her off the list."
ACTIONS: Final = ("decline", "tentativelyAccept")
HEAD: Final = b"\x00\x03$\x00"
FOLDER: Final = bytes(24)
OWN_BYTES: Final = 22
COLUMNS: Final = ("user", "event", "action", "comment")


@dataclass(frozen=True, slots=True)
class RowFile:
    """
    What is in a file: so many rows, round so many mailboxes of a domain.

    Of a hundred mailboxes, the last `shut` are of the domain `shut.example`. Files of different
    `seed` have different events.
    """

    rows: int
    mailboxes: int
    domain: str = "contoso.com"
    shut: int = 0
    seed: int = 1

    def csv(self, path: Path) -> Path:
        """Write CSV."""
        with path.open("w") as out:
            out.write(",".join(COLUMNS) + "\n")
            out.writelines(",".join(row) + "\n" for row in self._rows())
        return path

    def jsonl(self, path: Path) -> Path:
        """Write JSON Lines."""
        with path.open("w") as out:
            out.writelines(
                json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in self._rows()
            )
        return path

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for n in range(self.rows):
            mailbox = n % self.mailboxes
            action = ACTIONS[n // self.mailboxes % len(ACTIONS)]
            yield self._user(mailbox), self._event(mailbox, n), action, COMMENT

    def _user(self, mailbox: int) -> str:
        domain = "shut.example" if mailbox % 100 >= 100 - self.shut else self.domain
        return f"person{mailbox}@{domain}"

    def _event(self, mailbox: int, number: int) -> str:
        calendar = sha512(b"%d %d" % (self.seed, mailbox)).digest() + FOLDER
        event = sha256(b"%d %d" % (self.seed, number)).digest()[:OWN_BYTES]
        return urlsafe_b64encode(HEAD + calendar + event).decode()
