"""The group of all commands: whatever goes wrong in one is reported here, without a traceback."""

from collections.abc import Callable, Sequence
from typing import Any

import click
from redis.exceptions import RedisError

from config.errors import BulkrsvpError, InputError, LedgerUnreachable
from jobs.console.help import ManualGroup
from jobs.draft.draft import Refused
from jobs.ledger.foreign import WRITTEN_BY_OTHERS, Unreadable, is_foreign
from jobs.quoting import escaped, escaped_lines, refusal
from jobs.redis.requirements import is_forbidden, why_unreachable
from jobs.rows.jsonl import Problem
from jobs.signals import interruptible

INTERRUPTED = 130
"""The shell's own code for a command that SIGINT has stopped; here for SIGTERM and SIGHUP too."""

FOREIGN_SHOWN = 20


class Commands(ManualGroup):
    """The console command: every error ends here, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; print an error on standard error and exit with its code."""
        with interruptible():
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Refused as refused:
            _tell_problems(refused, ctx.meta.get("locate", _in_file(ctx.meta.get("file", "FILE"))))
            ctx.exit(refused.exit_code)
        except BulkrsvpError as error:
            _tell(f"bulkrsvp: {error}")
            ctx.exit(error.exit_code)
        except click.FileError as error:
            _tell(f"bulkrsvp: {error.format_message()}")
            ctx.exit(InputError.exit_code)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except Unreadable as error:
            _tell(f"bulkrsvp: {error}; {WRITTEN_BY_OTHERS}")
            ctx.exit(LedgerUnreachable.exit_code)
        except RedisError as error:
            _tell(f"bulkrsvp: {_why_broken_off(error)}")
            ctx.exit(LedgerUnreachable.exit_code)


def tell_foreign(found: Sequence[str]) -> None:
    """Print on standard error what Redis holds that bulkrsvp has not written, some lines of it."""
    for each in found[:FOREIGN_SHOWN]:
        _tell(f"left out: {each}")
    if (more := len(found) - FOREIGN_SHOWN) > 0:
        _tell(f"left out: {more} more")
    if found:
        _tell(WRITTEN_BY_OTHERS)


def exit_incomplete(ctx: click.Context, passed_over: Sequence[Unreadable]) -> None:
    """Report the slices that could not be read, and exit as for a ledger that cannot be, if any."""
    tell_foreign([str(each) for each in passed_over])
    if passed_over:
        ctx.exit(LedgerUnreachable.exit_code)


def _why_broken_off(error: RedisError) -> str:
    if is_forbidden(error):
        why = why_unreachable(error, "the address in REDIS_URL")
        return f"{why.seen}; {why.hint}"
    if is_foreign(error):
        return f"a key in Redis is not as it was stored ({refusal(error)}); {WRITTEN_BY_OTHERS}"
    return f"Redis did not answer ({refusal(error)}); try again"


def _tell(text: str) -> None:
    """Print a message; foreign text in it cannot control the terminal."""
    click.echo(escaped_lines(text), err=True)


def _in_file(file: str) -> Callable[[Problem], str]:
    return lambda problem: problem.located(file)


def _tell_problems(refused: Refused, locate: Callable[[Problem], str]) -> None:
    for problem in refused.problems:
        click.echo(escaped(locate(problem)), err=True)
    if (more := refused.total - len(refused.problems)) > 0:
        click.echo(f"... and {more} more", err=True)
    _tell(f"bulkrsvp: {refused}")
