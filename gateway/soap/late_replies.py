"""Answers on a connection of their own (WS-Addressing, asynchronous exchange; ITI TF-2 Appendix V.5).

A request whose ReplyTo is not anonymous is accepted with HTTP 202, and its answer is posted to that address
later. The address is chosen by whoever asks, so only those that the operator lists are called.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import aiohttp
import structlog

from gateway.soap.envelope import SoapFault
from gateway.soap.outgoing import OutgoingMessage
from gateway.tls import Context, default_context

_ATTEMPTS: Final = 3
_PAUSE: Final = 1.0
_TAKEN: Final = frozenset({200, 202, 204})

log = structlog.get_logger()


class LateReplies:
    """Posts answers, at most `most` requests being worked on at a time; `seconds` bounds one attempt.

    `allows` says whether an address may be called.
    """

    def __init__(
        self,
        allows: Callable[[str], bool],
        *,
        most: int = 64,
        seconds: float = 120.0,
        tls: Context = default_context,
    ) -> None:
        self.allows = allows
        self._most = most
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=seconds, connect=5.0)
        self._tasks: set[asyncio.Task[None]] = set()

    def check_room(self) -> None:
        """Raise SoapFault where no further request can be taken."""
        if len(self._tasks) >= self._most:
            raise SoapFault("Receiver", "too many requests wait for their answers; come back later")

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what makes and posts an answer."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def post(self, url: str, message: OutgoingMessage) -> None:
        """Deliver an answer. Where that fails there is nobody left to tell but the log."""
        headers = {"Content-Type": message.content_type}
        if message.content_length is not None:
            headers["Content-Length"] = str(message.content_length)
        failure = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(_PAUSE * attempt)
            try:
                async with (
                    aiohttp.ClientSession(
                        timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
                    ) as session,
                    session.post(
                        url,
                        data=message.chunks(),
                        headers=headers,
                        allow_redirects=False,
                        ssl=self._tls(),
                    ) as answer,
                ):
                    if answer.status in _TAKEN:
                        return
                    failure = f"HTTP {answer.status}"
                    if answer.status < 500:
                        break
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                failure = type(error).__name__
        log.error("soap.late_reply_lost", reason=failure)

    async def finish(self, seconds: float) -> None:
        """Give what is under way `seconds` to end."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=max(seconds, 0.0))
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("soap.late_reply_failed", error=type(error).__name__)
