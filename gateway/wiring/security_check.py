"""What `gateway doctor` asks of issuers and of files of assertions."""

import aiohttp

from gateway.security.key_sets import KeysUnavailable, NoSuchKey
from gateway.security_settings import IssuerSettings
from gateway.settings import Settings
from gateway.wiring.assertions import AssertionKeyError, security_header
from gateway.wiring.assertions_in import trusted_issuers
from gateway.wiring.security import SecurityError, issuer_keys
from gateway.wiring.start import StartError


async def issuer_problem(settings: Settings, issuer: IssuerSettings, key: str) -> str | None:
    """Why tokens of an issuer could not be verified, as one line; None where nothing is in the way.

    Where opaque tokens are asked about, it is seen whether somebody answers there.
    """
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        try:
            keys, introspection = issuer_keys(settings.security, issuer, session, key)
        except SecurityError as error:
            return str(error)
        if keys is not None:
            try:
                await keys.find("no such key", issuer.algorithms[0])
            except NoSuchKey:
                return None
            except KeysUnavailable:
                return f"{key}.jwks_url: its keys cannot be had"
            return None
        assert introspection is not None
        try:
            headers = {"Authorization": introspection.authorization(), "Accept": "application/json"}
            async with session.post(
                introspection.url,
                data={"token": "none"},
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=5),
                allow_redirects=False,
                ssl=introspection.tls(),
            ) as answer:
                return None if answer.status == 200 else f"{key}.introspection: answers HTTP {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"{key}.introspection: does not answer ({type(error).__name__})"


def check_assertions(settings: Settings) -> None:
    """Raise StartError where keys or certificates of assertions cannot be used."""
    try:
        security_header(settings)
        if settings.security.assertions.accept is not None:
            trusted_issuers(settings.security.assertions.accept)
    except AssertionKeyError as error:
        raise StartError(str(error)) from None
