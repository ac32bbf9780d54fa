"""`gateway health`: asks the gateway that runs with these settings on this machine how it is.

For engines that run a command to learn it (HEALTHCHECK of an image); orchestrators ask `/health/live` and
`/health/ready` themselves.
"""

import http.client

from gateway.settings import Settings

_SECONDS = 4.0
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not bound


def ask_health(settings: Settings, path: str) -> tuple[bool, str]:
    """Whether the answer at `path` is 200, and one line that says so: the answer, or why there is none."""
    server = settings.server
    if server.port == 0:
        return False, "server.port: is 0, so nobody knows where the gateway listens"
    connection = http.client.HTTPConnection(
        _WILDCARDS.get(server.host, server.host), server.port, timeout=_SECONDS
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status == 200, answer.read(65_536).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return False, f"{server.host}:{server.port}: {getattr(error, 'strerror', None) or 'no answer'}"
    finally:
        connection.close()
