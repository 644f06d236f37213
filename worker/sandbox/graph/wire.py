"""
How a reply, whole or broken, leaves the simulated Graph.

It writes and notes in the call what was written. That a call was carried out has been settled
before; nothing here changes a calendar.
"""

import asyncio
import contextlib
import socket
import struct
import time
from email.utils import formatdate
from http.client import responses
from typing import Final

import orjson
from aiohttp import web

from worker.sandbox.graph.replies import Reply
from worker.sandbox.journal import Call

_NO_LINGER: Final = struct.pack("ii", 1, 0)
_PRESENCE_S: Final = 0.02
_MISSING: Final = 64
"""Bytes that a truncated body announces and never gets."""


async def send(request: web.BaseRequest, call: Call, reply: Reply) -> web.Response:
    """Write the reply at once, so that the call has ended when this returns."""
    content, headers = _render(call, reply)
    response = web.Response(status=reply.status, body=content, headers=headers)
    call.status, call.code = int(reply.status), reply.code
    await response.prepare(request)
    await response.write_eof()
    call.delivered = True
    return response


def cut(request: web.BaseRequest, call: Call, reply: Reply) -> web.Response:
    """Write the status line and the first header, and close."""
    call.status, call.code = int(reply.status), reply.code
    head = f"{_status_line(reply)}request-id: {call.request_id}\r\n"
    return _write_and_close(request, head.encode())


def truncate(request: web.BaseRequest, call: Call, reply: Reply) -> web.Response:
    """Announce more of a body than is written, and close."""
    call.status, call.code = int(reply.status), reply.code
    content, headers = _render(call, reply)
    headers["Date"] = formatdate(usegmt=True)
    headers["Content-Length"] = str(len(content) + _MISSING)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return _write_and_close(request, f"{_status_line(reply)}{lines}\r\n".encode() + content)


def lose(request: web.BaseRequest) -> web.Response:
    """Close without a word."""
    return _write_and_close(request, b"")


def reset(request: web.BaseRequest) -> web.Response:
    """Reset the connection (RFC 9293 3.10.7: a close that does not linger)."""
    if (transport := request.transport) is not None:
        connection = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        transport.abort()
    return web.Response()


async def hang(request: web.BaseRequest, closing: asyncio.Event) -> web.Response:
    """Keep silent until the caller leaves or the sandbox closes."""
    while _is_there(request) and not closing.is_set():  # noqa: ASYNC110  # reason below
        # aiohttp wakes no one when a caller leaves, and cancelling its handlers would let
        # callers that give up undo what Graph carries out.
        await asyncio.sleep(_PRESENCE_S)
    return lose(request)


def _is_there(request: web.BaseRequest) -> bool:
    return request.transport is not None and not request.transport.is_closing()


def _status_line(reply: Reply) -> str:
    return f"HTTP/1.1 {reply.status} {responses.get(reply.status, '')}\r\n"


def _write_and_close(request: web.BaseRequest, content: bytes) -> web.Response:
    # aiohttp finds the connection closed and drops the response that it is given here.
    if (transport := request.transport) is not None:
        transport.write(content)
        transport.close()
    return web.Response()


def _render(call: Call, reply: Reply) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of a reply, with the ids of its call in both."""
    client_id = call.client_request_id or call.request_id
    headers = {"request-id": call.request_id, "client-request-id": client_id, **reply.headers}
    if reply.code is None:
        if reply.content:
            headers["Content-Type"] = reply.content_type
        return reply.content, headers
    headers["Content-Type"] = reply.content_type
    inner = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()),
        "request-id": call.request_id,
        "client-request-id": client_id,
    }
    error = {"code": reply.code, "message": reply.message, "innerError": inner}
    return orjson.dumps({"error": error}), headers
