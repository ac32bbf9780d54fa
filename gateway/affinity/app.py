"""The affinity domain as a server: registry at /xds/registry, repository at /xds/repository; where it has
images, their source at /xds/imaging (RAD-69) and /dicomweb/{Retrieve Location UID} (WADO-RS); where it has
patients, their manager at /patients (PIXm, PDQm)."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from gateway.affinity.dicomweb import DicomWeb, add_routes
from gateway.affinity.domain import Domain, open_domain
from gateway.affinity.file_chunks import FileReader
from gateway.affinity.imaging_source import ImagingSource
from gateway.affinity.imaging_transactions import ImagingTransactions
from gateway.affinity.options import AffinityOptions
from gateway.affinity.patient_manager import PatientManagerServer
from gateway.affinity.transactions import Transactions
from gateway.soap.contract import load_contract
from gateway.soap.server import SoapService
from gateway.telemetry.logs import configure

_SHUTDOWN_SECONDS = 30.0

_DOMAIN = web.AppKey("domain", Domain)
_REGISTRY = web.AppKey("registry", SoapService)
_REPOSITORY = web.AppKey("repository", SoapService)
_IMAGING = web.AppKey("imaging", SoapService)
_DICOMWEB = web.AppKey("dicomweb", DicomWeb)


def create_app(options: AffinityOptions) -> web.Application:
    """The application; it opens the state directory when it starts and closes it when it is cleaned up.

    Its start raises StateUnusable, other OSError and sqlite3.Error.
    """

    async def opened(app: web.Application) -> AsyncIterator[None]:
        contract = load_contract()
        files = FileReader()
        source = ImagingSource(options)
        await source.look()
        with open_domain(options) as domain, contextlib.closing(files):
            transactions = Transactions(domain, contract, files)
            services = {
                _REGISTRY: transactions.of_registry,
                _REPOSITORY: transactions.of_repository,
                _IMAGING: ImagingTransactions(source, files).handlers,
            }
            for key, handlers in services.items():
                app[key] = SoapService(contract, handlers, domain.spool_dir)
            offered = frozenset(location.uid for location in options.image_locations if location.wado_rs)
            app[_DICOMWEB] = DicomWeb(source, offered, files)
            app[_DOMAIN] = domain
            yield
            for key in services:
                app[key].close()

    app = web.Application()
    app.cleanup_ctx.append(opened)
    app.router.add_route("*", "/xds/registry", _to(_REGISTRY))
    app.router.add_route("*", "/xds/repository", _to(_REPOSITORY))
    if options.image_locations:
        app.router.add_route("*", "/xds/imaging", _to(_IMAGING))
        add_routes(app.router, _DICOMWEB)
    if options.patients is not None:
        PatientManagerServer(options.patients).add_routes(app.router)
    app.router.add_get("/health", _health)
    return app


async def serve(options: AffinityOptions, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight. Port 0 takes a free one.

    Prints `ready http://host:port`, its only line on standard output, once requests are answered; logs go
    to standard error.
    """
    configure()
    runner = web.AppRunner(create_app(options), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        bound_port = runner.addresses[0][1]
        print(f"ready http://{f'[{host}]' if ':' in host else host}:{bound_port}", flush=True)
        await stop.wait()
    finally:
        await runner.cleanup()


def _to(key: web.AppKey[SoapService]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await request.app[key](request)

    return handle


async def _health(request: web.Request) -> web.Response:
    """200 while the database answers."""
    database = request.app[_DOMAIN].database
    await asyncio.wrap_future(database.read(lambda connection: connection.execute("SELECT 1").fetchone()))
    return web.json_response({"status": "ok"})
