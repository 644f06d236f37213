"""
A token before it is needed, fetched once for all that wait.

Every call to Graph takes its token here. When none can be had, all callers learn at once until when
to wait, and the authority is not asked before that.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from azure.core.credentials import AccessTokenInfo
from azure.core.credentials_async import AsyncSupportsTokenInfo
from structlog.typing import FilteringBoundLogger

from config.errors import BulkrsvpError
from worker.identity.credential import request_token
from worker.identity.refusal import MISSED, Refusal, judge_refusal
from worker.throttle.backoff import backoff_s

_EARLY_S: Final = 300.0
_LONGEST_WAIT_S: Final = 60.0
_QUIET_S: Final = 300.0


class TokenUnavailable(BulkrsvpError):  # a state, like LedgerUnreachable
    """There is no token, and it is of no use to ask before `retry_at` (unix seconds)."""

    exit_code = 3

    def __init__(self, refusal: Refusal, retry_at: float) -> None:
        super().__init__(f"no token ({refusal.error_code}): {refusal.hint}")
        self.refusal = refusal
        self.retry_at = retry_at


class TokenSource:
    """
    The one place in a process that holds its token.

    It asks again some minutes before the token ends, while the calls go on with the old one.
    `clock` returns unix seconds, as the ends of tokens are given; `random` numbers from 0 to 1.
    """

    def __init__(
        self,
        credential: AsyncSupportsTokenInfo,
        scope: str,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        log: FilteringBoundLogger,
    ) -> None:
        self._credential = credential
        self._scope = scope
        self._clock = clock
        self._random = random
        self._log = log
        self._held: AccessTokenInfo | None = None
        self._disowned: AccessTokenInfo | None = None  # while Graph's refusal closes the source
        self._renewable = True
        self._refresh_at = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self._unavailable: TokenUnavailable | None = None
        self._failures = 0
        self._failed_at = 0.0
        self._doubted = False
        self._claims: str | None = None  # of Graph's challenge, until a token holds
        self._renewed_at = 0.0

    async def token(self) -> str:
        """Return a token that has not ended; raises `TokenUnavailable`."""
        now = self._clock()
        if self._held is None or now >= self._held.expires_on:
            return await self._fetched()
        if now >= self._refresh_at and self._closed_until() <= now:
            self._start_fetch()
        return self._held.token

    async def renew(self, stale: str, claims: str | None = None) -> str:
        """
        Return another token than the one that Graph has just refused to some mailbox.

        A later caller with the same stale token gets what the first one fetched. Meanwhile
        it is still given out: it may be that one mailbox's fault. `claims` is the decoded
        challenge of the reply, if it had one. An authority that gives the same token again has
        no newer one, so it is returned all the same. Raises `TokenUnavailable`.
        """
        if self._held is not None and self._held.token != stale:
            return self._held.token
        self._claims = claims or (self._claims if self._doubted else None)
        self._doubted = True
        self._refresh_at = 0.0  # should this fail, it is tried again as soon as it may be
        return await self._fetched(stale)

    def is_renewed(self, token: str) -> bool:
        """Whether this token has just been fetched because Graph refused the one before."""
        fresh = self._clock() - self._renewed_at < _QUIET_S
        return fresh and self._held is not None and self._held.token == token

    def refuse(self, token: str, error_code: str, claims: str | None = None) -> TokenUnavailable:
        """
        Note that Graph refused this token although it was new; return what to raise.

        However many calls report it for one token, it closes the source once. If there is another
        token by now, that one may be tried at once.
        """
        refusal = Refusal.by_graph(error_code, challenged=claims is not None)
        refusal = refusal if self._renewable else Refusal.same_token()
        if self._held is not None and self._held.token == token:
            self._disowned, self._held = self._held, None
            self._claims = claims or self._claims
            self._doubted = True
            self._close_source(refusal)
        elif self._held is not None or self._unavailable is None:
            return TokenUnavailable(refusal, self._clock())
        return self._refused()

    def accepted(self, token: str) -> None:
        """Note that Graph accepted this token: if the source was closed for it, it opens again."""
        disowned = self._disowned
        if disowned is None or disowned.token != token or disowned.expires_on <= self._clock():
            return
        self._held, self._disowned, self._unavailable = disowned, None, None
        self._doubted = False
        self._log.info("token.accepted")

    async def close(self) -> None:
        """Stop what is being fetched, and close the credential's connections."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait({self._fetching})
        await self._credential.close()

    async def _fetched(self, stale: str | None = None) -> str:
        if self._fetching is None and self._closed_until() > self._clock():
            raise self._refused()
        # Shielded: a caller that stops waiting must not take the token from the others.
        await asyncio.shield(self._start_fetch(stale))
        held = self._held
        if held is None or self._clock() >= held.expires_on:
            raise self._refused()
        if held.token == stale and self._renewable:
            raise self._refused()
        return held.token

    def _start_fetch(self, stale: str | None = None) -> asyncio.Task[None]:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch(stale))
        return self._fetching

    async def _fetch(self, stale: str | None) -> None:
        claims = self._claims if self._doubted else None
        try:
            token = await request_token(self._credential, self._scope, claims)
        except MISSED as error:
            self._miss(judge_refusal(error, now=datetime.fromtimestamp(self._clock(), UTC)), claims)
        except Exception as error:  # noqa: BLE001  # whatever the authority answers, no caller crashes
            self._miss(Refusal.unexpected(error), claims)
        else:
            self._keep(token, stale)
        finally:
            self._fetching = None

    def _miss(self, refusal: Refusal, claims: str | None) -> None:
        """Close the source; claims that the authority does not grant are not asked for again."""
        if claims is not None and (refusal.lasting or refusal.is_unexpected):
            self._claims = None
        self._close_source(refusal)

    def _keep(self, token: AccessTokenInfo, stale: str | None) -> None:
        now = self._clock()
        lifetime_s = token.expires_on - now
        self._held, self._disowned = token, None
        self._renewable = token.token != stale
        self._renewed_at = now if self._doubted else 0.0
        self._doubted = False
        self._refresh_at = self._time_to_refresh(token, lifetime_s)
        self._unavailable = None
        self._log.info("token.refreshed", expires_in_s=round(lifetime_s))

    def _time_to_refresh(self, token: AccessTokenInfo, lifetime_s: float) -> float:
        """Return a moment some minutes early, or a fifth of a short life; workers differ."""
        early_s = min(_EARLY_S, lifetime_s / 5)
        moment = token.refresh_on or token.expires_on - early_s
        moment = max(moment, self._clock() + early_s / 5)  # not with each call
        return moment - self._random() * early_s / 5

    def _close_source(self, refusal: Refusal) -> None:
        now = self._clock()
        wait_s = self._wait_s(refusal, now)
        self._unavailable = TokenUnavailable(refusal, now + wait_s)
        self._log.log(
            refusal.level,
            "token.refused",
            error_code=refusal.error_code,
            hint=refusal.hint,
            retry_in_s=round(wait_s, 1),
        )

    def _wait_s(self, refusal: Refusal, now: float) -> float:
        # A token that Graph refuses is fetched well, again and again. So it is not a fetch that
        # ends a row of failures, but some minutes without one.
        self._failures = self._failures + 1 if now - self._failed_at < _QUIET_S else 1
        self._failed_at = now
        least_s = 5.0 if refusal.lasting else 1.0
        chosen_s = backoff_s(
            self._failures, self._random, base_s=2 * least_s, cap_s=_LONGEST_WAIT_S
        )
        return max(least_s, chosen_s, refusal.retry_after_s or 0.0)

    @property
    def available(self) -> bool:
        """Whether there is a token, or none has been refused yet."""
        return self._held is not None or self._unavailable is None

    def _closed_until(self) -> float:
        return self._unavailable.retry_at if self._unavailable else 0.0

    def _refused(self) -> TokenUnavailable:
        """Return a new error for each caller: one that is raised many times grows a traceback."""
        closed = self._unavailable
        if closed is None:  # nothing fetched yet, or given up by `close`
            return TokenUnavailable(Refusal.closed(), self._clock())
        return TokenUnavailable(closed.refusal, closed.retry_at)
