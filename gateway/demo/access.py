"""The client of the demonstration: its key, what the gateway has to know of it, and its access tokens."""

import json
import os
import time
from pathlib import Path
from typing import Any

from gateway.clients.token_request import ClientKey, TokenRequestError, fetch_token
from gateway.demo.outside_client import MismatchError, TokenSource

CLIENT_ID = "demo"
SCOPE = "system/*.cruds"
CONSOLE_SCOPE = "console"
AUDIT_SCOPE = "system/AuditEvent.rs"


class DemoClient:
    """A client with a key in a file of its own, which is made where there is none."""

    def __init__(self, state_dir: Path) -> None:
        """Raises OSError and TokenRequestError."""
        self.key_file = state_dir / "client-key.json"
        if self.key_file.exists():
            private = json.loads(self.key_file.read_text("utf-8"))
            self._key = ClientKey(private)
        else:
            self._key, private = ClientKey.made()
            with os.fdopen(os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(private, file)
        self._public = {name: value for name, value in private.items() if name != "d"}

    def settings(self) -> dict[str, Any]:
        """The section `security` of a gateway that gives this client tokens."""
        scopes = [SCOPE, CONSOLE_SCOPE, AUDIT_SCOPE]
        client = {"jwks": {"keys": [self._public]}, "scopes": scopes, "introspects": True}
        return {"access": "token", "authorisation_server": {"clients": {CLIENT_ID: client}}}

    def tokens(self, base_url: str, scope: str = SCOPE) -> TokenSource:
        """Access tokens of the gateway at `base_url`, each used until it has half of its life left."""
        token, renewed = "", 0.0

        async def current() -> str:
            nonlocal token, renewed
            if time.monotonic() >= renewed:
                try:
                    answer = await fetch_token(base_url, CLIENT_ID, self._key, scope)
                except TokenRequestError as error:
                    raise MismatchError(str(error)) from None
                token = answer["access_token"]
                renewed = time.monotonic() + answer["expires_in"] / 2
            return token

        return current
