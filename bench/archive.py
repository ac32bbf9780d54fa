"""An audit repository that takes every batch at once and keeps nothing. `python -m bench.archive`."""

import asyncio
import sys

from aiohttp import web

ENTRY = b'{"response":{"status":"201 Created"}}'


async def main() -> None:
    """Serve until the parent closes standard input."""

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        entries = b",".join([ENTRY] * body.count(b'"ifNoneExist"'))
        answer = b'{"resourceType":"Bundle","type":"batch-response","entry":[' + entries + b"]}"
        return web.Response(body=answer, content_type="application/fhir+json")

    app = web.Application(client_max_size=1 << 28)
    app.router.add_post("/fhir", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"ready http://127.0.0.1:{runner.addresses[0][1]}/fhir", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
