"""
Whether two actors stand alike: the same places in the same coroutines, and the same values there.

Two that stand alike go on alike, whatever was before; so what follows is worked out once for both.
Everything that an actor holds is written down, through its coroutines and their variables. What is
not understood counts as itself alone, so that it is like nothing else.
"""

import asyncio
import gc
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from datetime import date, timedelta, tzinfo
from enum import Enum
from functools import partial
from hashlib import blake2b
from random import Random
from typing import Any, Final

from pydantic import BaseModel
from redis.asyncio import Redis

from jobs.ledger.script import Script
from tests.interleavings.model.loop import SteppedLoop
from tests.interleavings.model.nature import Nature

_PLAIN: Final = (bool, int, float, str, bytes, type(None), Enum, date, timedelta, tzinfo, range)
_NAMED: Final = (type, types.BuiltinFunctionType, types.ModuleType, types.CodeType)
_SAME: Final = (Redis, Script, Random, BaseModel, Nature)
"""Of these only what they say of themselves matters: they are the same for all of a kind."""

_EMPTY: Final[tuple[Iterable[object], ...]] = (
    [],
    (),
    {},
    {}.values(),
    {}.items(),
    deque(),
    range(0),
)
_ITERATORS: Final = (*(type(iter(each)) for each in _EMPTY), zip, map, enumerate, filter, reversed)
_AWAITED: Final[type] = type(asyncio.Future.__await__(SteppedLoop(float).create_future()))  # type: ignore[abstract]


def likeness(root: object) -> bytes:
    """Return a digest of all that an object holds."""
    return _Writer().digest(root)


class _Writer:
    """Writes down one object, each part of it once."""

    def __init__(self) -> None:
        self._words: list[str] = []
        self._seen: dict[int, int] = {}
        self._kept: list[object] = []

    def digest(self, root: object) -> bytes:
        """Return the digest of an object."""
        words, seen, ahead = self._words, self._seen, [root]
        while ahead:
            each = ahead.pop()
            kind = type(each)
            name, parts = _KINDS.get(kind) or _known(kind)
            words.append(name)
            if parts is None:
                words.append(repr(each))
            elif (place := seen.get(id(each))) is not None:
                words.append(f"again {place}")
            else:
                seen[id(each)] = len(seen)
                self._kept.append(each)  # else its id might become another's
                ahead.extend(reversed(list(parts(each))))
        return blake2b("\0".join(words).encode(errors="replace"), digest_size=16).digest()


_Parts = Callable[[Any], Iterable[object]] | None
_KINDS: Final[dict[type, tuple[str, _Parts]]] = {}


def _known(kind: type) -> tuple[str, _Parts]:
    """Return a kind's name, and what lists the parts of one; None if it has none."""
    name = f"{kind.__module__}.{kind.__qualname__}"
    _KINDS[kind] = found = name, _find_parts(kind)
    return found


def _find_parts(kind: type) -> _Parts:
    if issubclass(kind, _PLAIN):
        return None
    for classes, parts in _PARTS:
        if issubclass(kind, classes):
            return parts
    if kind in _ITERATORS:
        return lambda each: each.__reduce__()
    slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
    if not slots and not getattr(kind, "__dictoffset__", 0):
        return lambda each: [id(each)]  # like nothing else

    def of_attributes(each: Any) -> Iterable[object]:
        found = {name: getattr(each, name) for name in slots if hasattr(each, name)}
        found |= getattr(each, "__dict__", {})
        return [" ".join(found), *found.values()]

    return of_attributes


def _of_mapping(each: Any) -> Iterable[object]:
    return [len(each), *(part for pair in each.items() for part in pair)]


def _of_set(each: Any) -> Iterable[object]:
    if all(isinstance(part, _PLAIN) for part in each):
        return sorted(each, key=repr)
    return [id(each)]


def _of_function(each: Any) -> Iterable[object]:
    cells = each.__closure__ or ()
    return [each.__module__, each.__qualname__, each.__defaults__, *cells]


def _of_cell(each: Any) -> Iterable[object]:
    return [each.cell_contents] if gc.get_referents(each) else []


def _of_coroutine(each: Any) -> Iterable[object]:
    frame = getattr(each, "cr_frame", None) or getattr(each, "gi_frame", None)
    frame = frame or getattr(each, "ag_frame", None)
    if frame is None:
        return ["over", each.__qualname__]
    held = [part for part in gc.get_referents(each) if not _is_surrounding(part, frame)]
    return [each.__qualname__, frame.f_lasti, " ".join(frame.f_locals), *held]


def _is_surrounding(part: object, frame: types.FrameType) -> bool:
    return part is frame or part is frame.f_globals or part is frame.f_builtins


def _of_future(each: Any) -> Iterable[object]:
    if not each.done():
        return ["waits", len(each._callbacks or ())]
    if each.cancelled():
        return ["cancelled"]
    return [each._exception, each._result]


def _of_task(each: Any) -> Iterable[object]:
    own = [each.get_coro(), each.cancelling(), each._must_cancel, each._fut_waiter]
    return [*_of_future(each), *own]


def _of_loop(each: SteppedLoop) -> Iterable[object]:
    timers = sorted(each._timers, key=_order)
    live = [(when, handle._callback) for when, _, handle in timers if not handle.cancelled()]  # type: ignore[attr-defined]
    return [*live, *(task for task in each._tasks if not task.done())]


def _order(timer: tuple[float, int, asyncio.TimerHandle]) -> tuple[float, int]:
    return timer[:2]


_PARTS: Final[tuple[tuple[Any, Callable[[Any], Iterable[object]]], ...]] = (
    (_NAMED, lambda each: [getattr(each, "__qualname__", getattr(each, "__name__", ""))]),
    (_SAME, lambda each: [repr(each) if isinstance(each, BaseModel) else ""]),
    ((list, tuple, deque), lambda each: [len(each), *each]),
    ((dict, OrderedDict, types.MappingProxyType), _of_mapping),
    ((set, frozenset), _of_set),
    (types.FunctionType, _of_function),
    (types.MethodType, lambda each: [each.__func__, each.__self__]),
    (types.CellType, _of_cell),
    (partial, lambda each: [each.func, each.args, each.keywords]),
    ((types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType), _of_coroutine),
    (asyncio.Task, _of_task),
    (asyncio.Future, _of_future),
    (SteppedLoop, _of_loop),
    (BaseException, lambda each: [each.args]),
    (_AWAITED, gc.get_referents),
)
