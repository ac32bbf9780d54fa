"""Small answers of servers that the settings name, read within bounds."""

import aiohttp


class AnswerTooLong(ValueError):
    """The answer has more bytes than such an answer may have."""


async def read_at_most(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The whole body. Raises AnswerTooLong."""
    content = bytearray()
    async for chunk in answer.content.iter_chunked(16 * 1024):
        content += chunk
        if len(content) > most:
            raise AnswerTooLong(f"has more than {most} bytes")
    return bytes(content)
