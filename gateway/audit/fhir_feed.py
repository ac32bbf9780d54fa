"""FHIR feed of audit records (ITI-20, ATX: FHIR Feed Option): AuditEvents in a batch, or one by one.

A create is conditional on a tag that holds the id of the record, so that what is sent again after a lost
answer is stored once.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal
from urllib.parse import quote

import aiohttp
import orjson
import structlog

from gateway.audit.delivery import WRITTEN_AT_ONCE, RepositoryAway
from gateway.audit.record import AuditRecord
from gateway.model import codes
from gateway.tls import ClientTls

_FHIR_JSON: Final = "application/fhir+json"
_AGAIN: Final = frozenset({401, 403, 408, 425, 429})
"""Statuses below 500 that do not speak against a record."""
_TAGGED: Final = f"_tag={quote(codes.AUDIT_RECORD_TAG + '|', safe=':')}"
_LARGEST_ANSWER: Final = 16 * 1024 * 1024

log = structlog.get_logger()


class FhirRepository:
    """An audit repository that takes AuditEvents."""

    def __init__(
        self,
        url: str,
        write: Callable[[AuditRecord], dict[str, Any]],
        *,
        batch: int = 100,
        send_as: Literal["create", "update"] = "create",
        authorization: Callable[[], str] | None = None,
        tls: ClientTls | None = None,
        seconds: float = 30.0,
    ) -> None:
        """`write` makes the AuditEvent. `authorization` gives the header, and may raise OSError."""
        self.batch = batch
        self._url = url
        self._write = write
        self._update = send_as == "update"
        self._authorization = authorization
        self._tls = tls
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, records: Sequence[AuditRecord]) -> int:
        """Send them in one request; how many are refused for good. Raises RepositoryAway."""
        events = []
        for number, record in enumerate(records):
            if number % WRITTEN_AT_ONCE == 0:
                await asyncio.sleep(0)
            events.append((record.id, orjson.dumps(self._write(record))))
        if self.batch == 1:
            statuses = [await self._send_one(record_id, event) for record_id, event in events]
        else:
            statuses = await self._send_batch(events)
        return self._judge(records, statuses)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _judge(self, records: Sequence[AuditRecord], statuses: Sequence[int]) -> int:
        later = [status for status in statuses if status >= 500 or status in _AGAIN]
        if later:
            raise RepositoryAway(f"HTTP {later[0]}")
        refused = [
            (record.id, status) for record, status in zip(records, statuses, strict=True) if status >= 300
        ]
        for record_id, status in refused:
            log.critical("audit.record_refused", record=record_id, status=status)
        return len(refused)

    async def _send_batch(self, events: Sequence[tuple[str, bytes]]) -> list[int]:
        """`events` are AuditEvents in JSON, by their ids."""
        entries = [
            {"resource": orjson.Fragment(event), "request": self._request(record_id)}
            for record_id, event in events
        ]
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
        status, answer = await self._call("POST", self._url, orjson.dumps(bundle), {})
        if status >= 300:
            return [status] * len(events)
        try:
            answered = [int(entry["response"]["status"][:3]) for entry in orjson.loads(answer)["entry"]]
        except (ValueError, KeyError, TypeError):
            raise RepositoryAway("the answer is not that to a batch") from None
        if len(answered) != len(events):
            raise RepositoryAway("the answer does not say what became of each record")
        return answered

    async def _send_one(self, record_id: str, event: bytes) -> int:
        request = self._request(record_id)
        condition = request.get("ifNoneExist")
        headers = {"If-None-Exist": condition} if condition else {}
        status, _ = await self._call(request["method"], f"{self._url}/{request['url']}", event, headers)
        return status

    def _request(self, record_id: str) -> dict[str, str]:
        if self._update:
            return {"method": "PUT", "url": f"AuditEvent/{record_id}"}
        return {"method": "POST", "url": "AuditEvent", "ifNoneExist": f"{_TAGGED}{record_id}"}

    async def _call(self, method: str, url: str, body: bytes, more: dict[str, str]) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        headers = {"Content-Type": _FHIR_JSON, "Accept": _FHIR_JSON, "Prefer": "return=minimal", **more}
        try:
            if self._authorization is not None:
                headers["Authorization"] = self._authorization()
            async with self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                ssl=self._tls.context if self._tls else True,
                server_hostname=self._tls.server_name if self._tls else None,
            ) as answer:
                content = bytearray()
                async for chunk in answer.content.iter_any():
                    content += chunk
                    if len(content) > _LARGEST_ANSWER:
                        raise RepositoryAway("the answer is too long")
                return answer.status, bytes(content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RepositoryAway(type(error).__name__) from None
