"""The log's way out: bytes that arrive, and what is known when they cannot any more."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO, TextIOWrapper
from typing import IO

import pytest

from worker.process.log_sink import LogSink

LINE = b'{"event": "worker.started"}\n'


@contextmanager
def pipe_without_reader(buffering: int) -> Iterator[IO[bytes]]:
    """Open a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "wb", buffering)
    try:
        yield stream
    finally:
        with suppress(BrokenPipeError):
            stream.close()


def test_lines_arrive() -> None:
    """What is written to a stream of bytes or of text arrives as it is, and nothing is lost."""
    for kept in (BytesIO(), BytesIO()):
        sink = LogSink(kept)
        written = sink.write(LINE)
        sink.flush()

        assert (len(LINE), LINE, False) == (written, kept.getvalue(), sink.lost.is_set())
    behind = BytesIO()
    text = TextIOWrapper(behind)
    sink = LogSink(text)
    sink.write(LINE)
    sink.flush()

    assert (LINE, False) == (behind.getvalue(), sink.lost.is_set())


@pytest.mark.parametrize("buffering", [0, -1])
def test_a_reader_that_left_is_noticed(buffering: int) -> None:
    """A closed pipe raises nothing and is known at the latest when its buffer is flushed."""
    with pipe_without_reader(buffering) as stream:
        sink = LogSink(stream)
        before = sink.lost.is_set()
        written = sink.write(LINE)
        sink.flush()

        assert (False, len(LINE), True) == (before, written, sink.lost.is_set())
        assert len(LINE) == sink.write(LINE)


def test_a_stream_that_was_closed_is_noticed() -> None:
    """A stream that was closed under the log raises nothing, and is known."""
    for use in (lambda sink: sink.write(LINE), LogSink.flush):
        stream = BytesIO()
        sink = LogSink(stream)
        stream.close()
        use(sink)

        assert sink.lost.is_set()


def test_what_is_lost_stays_lost() -> None:
    """A line that is gone is not forgotten because a later one goes through."""

    class Hiccup(BytesIO):
        """A disk that is full once."""

        full = True

        def write(self, data: object, /) -> int:
            """Fail once."""
            if self.full:
                self.full = False
                raise OSError(28, "No space left on device")
            return super().write(data)  # type: ignore[arg-type]  # whatever bytes are

    stream = Hiccup()
    sink = LogSink(stream)
    sink.write(LINE)
    sink.write(LINE)
    sink.flush()

    assert (LINE, True) == (stream.getvalue(), sink.lost.is_set())


def test_a_terminal_is_told_apart_from_a_pipe() -> None:
    """A terminal is told apart from what no person reads."""
    other, terminal = os.openpty()
    with os.fdopen(terminal, "wb", 0) as stream:
        shown = LogSink(stream).isatty()
    os.close(other)

    assert (True, False) == (shown, LogSink(BytesIO()).isatty())
