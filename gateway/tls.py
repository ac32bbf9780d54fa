"""TLS of what the gateway calls and of what it listens on (ATNA STX; BCP 195): own certificates, whom to
believe, versions and ciphers. Contexts are made again when their files change; open connections stay.
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from gateway.revocations import read_revocations
from gateway.watched_files import WatchedFiles

MINIMUM_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!eNULL:!MD5:!DSS"
"""Of TLS 1.2: forward secrecy and authenticated encryption. Those of TLS 1.3 are all so."""

Version = Literal["1.2", "1.3"]


class TlsError(ValueError):
    """Files that make no TLS context; the text says which and why, and quotes nothing of them."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with what follows it, and its key, in PEM files."""

    certificate: Path
    key: Path
    password: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that it is read from."""
        return (self.certificate, self.key, *((self.password,) if self.password else ()))

    def load(self, context: ssl.SSLContext) -> None:
        """Put it into a context. Raises TlsError and OSError."""
        secret = self.password.read_bytes().strip() if self.password else b""
        for path in self.files:
            path.read_bytes()  # an error of ssl would not say which
        try:
            # without a password here OpenSSL would ask at the terminal
            context.load_cert_chain(self.certificate, self.key, password=lambda: secret)
        except (ssl.SSLError, ValueError):
            raise TlsError(
                f"{self.certificate} and {self.key} are not a certificate and its key in PEM"
            ) from None


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How a peer is called. `authorities` (PEM) certify it, the system's where there are none; a certificate
    in there that is the peer's own is believed too. `revocations` (PEM) are the lists of all authorities
    up to the root (RFC 5280 5). `server_name` is what its certificate says, where that is another than the
    host that is called."""

    authorities: Path | None = None
    revocations: Path | None = None
    identity: Identity | None = None
    minimum: Version = "1.2"
    ciphers: str | None = None
    server_name: str | None = None

    @property
    def context(self) -> ssl.SSLContext:
        """The context, with the files as they are now. Raises TlsError and OSError the first time."""
        made = _CLIENTS.get(self)
        if made is None:
            files = (*_given(self.authorities, self.revocations), *_files(self.identity))
            made = _CLIENTS[self] = WatchedFiles(files, self._read)
        return made()

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.authorities is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            _load_authorities(context, self.authorities)
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        _load_revocations(context, self.revocations)
        if self.identity is not None:
            self.identity.load(context)
        _restrict(context, self.minimum, self.ciphers)
        return context


_CLIENTS: Final[dict[ClientTls, WatchedFiles[ssl.SSLContext]]] = {}
"""One context per way of calling, however many peers are called so: their files are looked at once."""


@dataclass(frozen=True, slots=True)
class ServerTls:
    """How a listener is reached. `client_authorities` certify clients, whose certificates are asked for where
    there are any, and `required` or not; `revocations` are lists of what these do not certify any more."""

    identity: Identity
    client_authorities: Path | None = None
    revocations: Path | None = None
    required: bool = False
    minimum: Version = "1.2"
    ciphers: str | None = None

    def context(self) -> ssl.SSLContext:
        """A context for the listener; each handshake is that of the files as they are then.

        Raises TlsError and OSError.
        """
        files = (*_given(self.client_authorities, self.revocations), *self.identity.files)
        current = WatchedFiles(files, self._read)

        def choose(connection: Any, name: str | None, first: ssl.SSLContext) -> None:
            connection.context = current()

        listening = self._read()
        # called in every handshake, with or without a name in it
        listening.sni_callback = choose
        return listening

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.identity.load(context)
        _restrict(context, self.minimum, self.ciphers)
        if self.client_authorities is not None:
            _load_authorities(context, self.client_authorities)
            _load_revocations(context, self.revocations)
            context.verify_mode = ssl.CERT_REQUIRED if self.required else ssl.CERT_OPTIONAL
            # a session that is taken up again would not be verified by authorities that have changed since
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
        return context


Context = Callable[[], ssl.SSLContext | bool]
"""What a request of an HTTP client is to use; True is the client's own default."""


def default_context() -> bool:
    """The HTTP client's own default."""
    return True


def _files(identity: Identity | None) -> Sequence[Path]:
    return () if identity is None else identity.files


def _given(*paths: Path | None) -> Sequence[Path]:
    return [path for path in paths if path is not None]


def _load_revocations(context: ssl.SSLContext, path: Path | None) -> None:
    """With lists, what no list that is current covers is not believed."""
    if path is None:
        return
    try:
        read_revocations(path.read_bytes())
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, ValueError):
        raise TlsError(f"{path} holds not certificate revocation lists in PEM alone") from None
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def _load_authorities(context: ssl.SSLContext, path: Path) -> None:
    pem = path.read_text("ascii", "replace")
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError):
        raise TlsError(f"{path} holds no certificate in PEM") from None


def _restrict(context: ssl.SSLContext, minimum: Version, ciphers: str | None) -> None:
    context.minimum_version = MINIMUM_VERSIONS[minimum]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        context.set_ciphers(ciphers or _CIPHERS)
    except ssl.SSLError:
        raise TlsError("ciphers: OpenSSL knows none of them") from None
