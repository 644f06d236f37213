"""
The simulated Graph: one call from its arrival to its reply.

A call passes the token check, the gate of its mailbox and the armed faults, takes its time, and
reaches the calendar. It stays in flight until its reply has been written. A caller who leaves
changes nothing: a request that has arrived whole is carried out, as Graph does it.
"""

import asyncio
from dataclasses import replace
from http import HTTPStatus
from typing import Final
from uuid import uuid4

from aiohttp import web

from worker.sandbox.calendar.calendars import Mailbox
from worker.sandbox.calendar.traits import trait_of
from worker.sandbox.entra.tokens import EXPIRED, unauthorized
from worker.sandbox.graph import wire
from worker.sandbox.graph.body import read_body
from worker.sandbox.graph.faults import Effect, Rule
from worker.sandbox.graph.replies import ACCEPTED, WRONG_METHOD, RefusedError, Reply
from worker.sandbox.graph.retry_after import spell, wait_s
from worker.sandbox.graph.target import Target, find_target, selected
from worker.sandbox.graph.view import View, list_events
from worker.sandbox.journal import Call
from worker.sandbox.world import World

_RETRY_AFTER: Final = "Retry-After"


class SimulatedGraph:
    """Answers every request outside `/sandbox/` on the Graph port."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Take one call in, and note how it went."""
        call, aim = self._arrive(request)
        mailbox = self._world.calendars.mailbox(call.mailbox, self._world.options)
        mailbox.gate.open += 1
        call.in_flight = mailbox.gate.open
        try:
            call.content = await request.read()
            return await _Passage(self._world, request, call, mailbox, aim).run()
        except ConnectionError:  # the caller left: nobody is there to be told
            return web.Response()
        finally:
            mailbox.gate.open -= 1
            call.ended_s = self._world.clock.monotonic()
            call.ended_at = self._world.clock.unix()

    def _arrive(self, request: web.BaseRequest) -> tuple[Call, Target | Reply]:
        """Note the call; a path that leads nowhere comes with its refusal in place of a target."""
        world = self._world
        call = Call(
            sequence=world.journal.next_sequence(),
            arrived_s=world.clock.monotonic(),
            arrived_at=world.clock.unix(),
            method=request.method,
            path=request.raw_path,
            client_request_id=request.headers.get("client-request-id"),
            request_id=str(uuid4()),
        )
        world.journal.append(call)
        try:
            target = find_target(call.path)
        except RefusedError as refused:
            return call, refused.reply
        call.user, call.event, call.action = target.user, target.event, target.action
        call.mailbox = target.user.casefold()
        return call, target


class _Passage:
    """The way of one call through the simulated Graph; its `aim` may be a mere refusal."""

    def __init__(
        self,
        world: World,
        request: web.BaseRequest,
        call: Call,
        mailbox: Mailbox,
        aim: Target | Reply,
    ) -> None:
        self._world = world
        self._request = request
        self._call = call
        self._mailbox = mailbox
        self._aim = aim

    async def run(self) -> web.Response:
        refusal = self._stop()
        if refusal is not None:
            return await self._send(refusal)
        rule = self._rule()
        if rule is not None:
            return await self._strike(rule)
        return await self._succeed()

    def _stop(self) -> Reply | None:
        """Check the token, then the gate."""
        call, gate, options = self._call, self._mailbox.gate, self._world.options
        refusal = self._world.tokens.refusal(self._request.headers.get("Authorization"))
        call.authorized = refusal is None
        if isinstance(self._aim, Reply):
            return refusal
        call.early = gate.is_early(call.arrived_s, options.early_grace_s)
        return refusal or gate.admit(call.arrived_s, options)

    def _rule(self) -> Rule | None:
        """Return the fault that strikes: an armed one, else what the event's name asks for."""
        rule = self._world.faults.strike(self._call)
        if rule is not None or self._call.action is None or self._call.event is None:
            return rule
        trait = trait_of(self._call.event)
        spent = trait.once and self._mailbox.was_touched(self._call.event)
        return None if spent else trait.fault

    async def _strike(self, rule: Rule) -> web.Response:
        self._call.fault = rule.effect.value
        if rule.delay_s:
            await asyncio.sleep(rule.delay_s)
        if rule.effect is Effect.PASS:
            return await self._succeed()
        natural = self._carry_out() if rule.takes else ACCEPTED
        return await self._break(rule, natural)

    async def _break(self, rule: Rule, natural: Reply) -> web.Response:
        reply = self._said(rule, natural)
        match rule.effect:
            case Effect.LOST:
                return wire.lose(self._request)
            case Effect.CUT:
                return wire.cut(self._request, self._call, reply)
            case Effect.TRUNCATE:
                return wire.truncate(self._request, self._call, reply)
            case Effect.RESET:
                return wire.reset(self._request)
            case Effect.HANG:
                return await wire.hang(self._request, self._world.closing)
        return await self._send(reply)

    def _said(self, rule: Rule, natural: Reply) -> Reply:
        """Return what a rule wants said, whether or not it gets through."""
        if rule.effect is Effect.UNAUTHORIZED:
            return unauthorized(EXPIRED, rule.claims)
        if rule.effect is Effect.REDIRECT:
            elsewhere = self._world.graph_url.replace("127.0.0.1", "localhost")
            location = rule.location or elsewhere + self._call.path
            return Reply(HTTPStatus.FOUND, headers={"Location": location})
        return rule.reply or natural

    async def _succeed(self) -> web.Response:
        """Take the time that calls take, and reach the calendar."""
        if latency_s := self._world.latency_s():
            await asyncio.sleep(latency_s)
        return await self._send(self._carry_out())

    def _carry_out(self) -> Reply:
        if isinstance(self._aim, Reply):
            return self._aim
        try:
            reply = self._reach_calendar(self._aim)
        except RefusedError as refused:
            return refused.reply.about(self._call.user or "")
        self._call.taken = reply is ACCEPTED
        return reply

    def _reach_calendar(self, target: Target) -> Reply:
        call = self._call
        if call.method != ("GET" if target.action is None else "POST"):
            raise RefusedError(WRONG_METHOD)
        if target.event is None:
            return self._view(target) if target.view else list_events(call.path, self._mailbox)
        if target.action is None:
            return self._mailbox.show(target.event, selected(call.path))
        content_type = self._request.headers.get("Content-Type", "")
        body = read_body(call.content, content_type, target.action)
        keep_declined = self._world.options.keep_declined
        return self._mailbox.take(target.event, target.action, body, keep_declined=keep_declined)

    def _view(self, target: Target) -> Reply:
        preferences = ",".join(self._request.headers.getall("Prefer", ()))
        view = View(self._call.path, preferences, self._world.graph_url)
        return view.of(self._mailbox, target, self._world.options)

    async def _send(self, reply: Reply) -> web.Response:
        if _RETRY_AFTER in reply.headers:
            reply = self._close_gate(reply)
        return await wire.send(self._request, self._call, reply)

    def _close_gate(self, reply: Reply) -> Reply:
        """Hold the mailbox to the Retry-After that it is given."""
        unix_s = self._world.clock.unix()
        asked = reply.headers[_RETRY_AFTER]
        spelled = spell(asked, unix_s)
        now_s = self._world.clock.monotonic()
        self._mailbox.gate.close(asked, wait_s(spelled, unix_s), now_s)
        return replace(reply, headers={**reply.headers, _RETRY_AFTER: spelled})
