"""TLS of the settings: of listeners, and of what is called."""

import ssl
from collections.abc import Callable, Iterator
from typing import TypeVar

from gateway.setting_types import ClientTlsSettings, ServerTlsSettings, TlsSettings
from gateway.settings import Settings
from gateway.tls import ClientTls, Context, Identity, ServerTls, TlsError
from gateway.wiring.start import StartError

T = TypeVar("T")


def client_tls(settings: ClientTlsSettings) -> ClientTls:
    """How https is called."""
    return ClientTls(
        authorities=settings.authorities_file,
        revocations=settings.revocation_file,
        identity=_identity(settings),
        minimum=settings.minimum_version,
        ciphers=settings.ciphers,
        server_name=settings.server_name,
    )


def usual_tls(settings: Settings) -> Context:
    """That of calls without a section of their own."""
    return context_of(settings.security.tls)


def context_of(settings: ClientTlsSettings) -> Context:
    """The context of each call."""
    tls = client_tls(settings)
    return lambda: tls.context


def server_context(settings: ServerTlsSettings | None, key: str) -> ssl.SSLContext | None:
    """The context of a listener, None where it speaks HTTP. Raises StartError, which names the `key`."""
    if settings is None:
        return None
    identity = _identity(settings)
    assert identity is not None
    tls = ServerTls(
        identity,
        client_authorities=settings.client_authorities_file,
        revocations=settings.revocation_file,
        required=settings.client_certificates == "required",
        minimum=settings.minimum_version,
        ciphers=settings.ciphers,
    )
    return _made(tls.context, key)


def check_client_tls(settings: Settings) -> None:
    """Raise StartError where files of one of the sections of calls cannot be used."""
    for key, section in _client_sections(settings):
        if section is not None:
            tls = client_tls(section)
            _made(lambda tls=tls: tls.context, key)  # type: ignore[misc]


def _client_sections(settings: Settings) -> Iterator[tuple[str, ClientTlsSettings | None]]:
    yield "security.tls", settings.security.tls
    for name, peer in settings.peers():
        yield f"{name}.tls", peer.tls
    yield "redis.tls", settings.redis.tls
    yield "references.tls", settings.references.tls
    for name, repository in (("fhir", settings.audit.fhir), ("syslog", settings.audit.syslog)):
        if repository is not None:
            yield f"audit.{name}.tls", repository.tls
    for number, issuer in enumerate(settings.security.issuers):
        yield f"security.issuers.{number}.tls", issuer.tls


def _made(make: Callable[[], T], key: str) -> T:
    try:
        return make()
    except TlsError as error:
        raise StartError(f"{key}: {error}") from None
    except OSError as error:
        raise StartError(f"{key}: {error.filename}: {error.strerror}") from None


def _identity(settings: TlsSettings) -> Identity | None:
    if settings.certificate_file is None or settings.key_file is None:
        return None
    return Identity(settings.certificate_file, settings.key_file, settings.key_password_file)
