"""A plain aiohttp proxy: one GET in, the same GET out, chunks passed on. `python -m bench.proxy URL`."""

import asyncio
import sys

import aiohttp
from aiohttp import web


async def main(upstream: str) -> None:
    """Serve until the parent closes standard input."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def handle(request: web.Request) -> web.StreamResponse:
            async with session.get(upstream + request.path) as answer:
                response = web.StreamResponse(headers={"Content-Type": answer.headers["Content-Type"]})
                response.content_length = answer.content_length
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response

        app = web.Application()
        app.router.add_get("/{tail:.*}", handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"ready http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
