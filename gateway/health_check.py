"""`gateway health`: asks the gateway that runs with these settings on this machine how it is.

For engines that run a command to learn it (HEALTHCHECK of an image); orchestrators ask `/health/live` and
`/health/ready` themselves.
"""

import http.client
import ssl

from gateway.settings import Settings
from gateway.tls import Identity, TlsError

_SECONDS = 4.0
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not bound


def ask_health(settings: Settings, path: str) -> tuple[bool, str]:
    """Whether the answer at `path` is 200, and one line that says so: the answer, or why there is none."""
    server = settings.server
    if server.port == 0:
        return False, "server.port: is 0, so nobody knows where the gateway listens"
    try:
        connection = _connection(settings, _WILDCARDS.get(server.host, server.host))
    except (OSError, TlsError) as error:
        return False, f"server.tls: {error}"
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status == 200, answer.read(65_536).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return False, f"{server.host}:{server.port}: {getattr(error, 'strerror', None) or 'no answer'}"
    finally:
        connection.close()


def _connection(settings: Settings, host: str) -> http.client.HTTPConnection:
    section = settings.server.tls
    if section is None:
        return http.client.HTTPConnection(host, settings.server.port, timeout=_SECONDS)
    # this machine asks itself: the certificate is that of the name that clients call
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if section.client_certificates != "none":
        Identity(section.certificate_file, section.key_file, section.key_password_file).load(context)
    return http.client.HTTPSConnection(host, settings.server.port, timeout=_SECONDS, context=context)
