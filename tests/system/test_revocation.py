"""Certificates that their authority has revoked open nothing any more: of TLS clients, of peers, and of those who
sign assertions. With lists in the settings, what no current list covers is not believed either."""

import asyncio

import pytest

from gateway.wiring.parts import StartError, open_parts
from tests.certificates import Authority
from tests.security import assertions
from tests.security.assertions import signed
from tests.system.stack import running_gateway, running_stack
from tests.system.test_assertions_of_others import Service, security
from tests.system.test_tls import (
    LOCAL,
    Domain,
    found,
    serving,
    settings_of,
    status_of,
    tls_settings,
    trusting,
)


async def until_refused(port, context):
    async with asyncio.timeout(60):
        while True:
            try:
                await asyncio.to_thread(status_of, port, context)
            except OSError:
                return
            await asyncio.sleep(0.1)


async def test_a_revoked_client_is_turned_away_without_a_restart(tmp_path):
    authority, clients = Authority(), Authority("clients")
    one, two = clients.certify("one"), clients.certify("two")
    lists = tmp_path / "lists.pem"
    lists.write_bytes(clients.revocations())
    settings = tls_settings(
        authority.certify("gateway", *LOCAL),
        tmp_path,
        clients=clients,
        SERVER__TLS__REVOCATION_FILE=str(lists),
    )
    async with serving(tmp_path, **settings) as (_, port):
        first, second = (trusting(authority, each, tmp_path) for each in (one, two))
        assert await asyncio.to_thread(status_of, port, first) == 200
        lists.write_bytes(clients.revocations(one))
        await until_refused(port, first)
        assert await asyncio.to_thread(status_of, port, second) == 200
        # a list that has ended says nothing of anybody, so nobody is let in
        lists.write_bytes(clients.revocations(one, days=(-30, -1)))
        await until_refused(port, second)


@pytest.mark.parametrize("listed", ["nothing", "peer", "another", "ended"])
async def test_a_peer_is_believed_where_a_current_list_does_not_name_it(tmp_path, listed):
    authority = Authority()
    certified = authority.certify("domain", "127.0.0.1")
    lists = tmp_path / "lists.pem"
    lists.write_bytes(
        {
            "nothing": authority.revocations(),
            "peer": authority.revocations(certified),
            "another": Authority("another").revocations(),
            "ended": authority.revocations(days=(-30, -1)),
        }[listed]
    )
    domain = Domain(tmp_path, certified)
    tls = {"authorities_file": str(authority.write(tmp_path)), "revocation_file": str(lists)}
    async with domain.running() as url, running_gateway(settings_of(tmp_path, url, tls)) as stack:
        status, text = await found(stack)
        assert (status == 200) == (listed == "nothing"), text
        assert bool(domain.seen) == (listed == "nothing")


@pytest.mark.parametrize(
    "content", [b"", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "certificate"]
)
async def test_a_file_that_holds_other_things_than_lists_stops_the_start(tmp_path, content):
    authority = Authority()
    lists = tmp_path / "lists.pem"
    # a certificate in there would be one more authority
    lists.write_bytes(authority.pem if content == "certificate" else content)
    tls = {"authorities_file": str(authority.write(tmp_path)), "revocation_file": str(lists)}
    settings = settings_of(tmp_path, "https://127.0.0.1:9", tls)
    with pytest.raises(
        StartError, match=r"registry\.tls: .*lists\.pem holds not certificate revocation lists"
    ):
        async with open_parts(settings):
            pass


async def test_who_signs_assertions_may_be_revoked_without_a_restart(tmp_path):
    authority = Authority("Assertion authority")
    first, second = (authority.certify("signer", "urn:idp-ca", kind="rsa") for _ in range(2))
    pinned = authority.certify("pinned", kind="rsa")
    named = tmp_path / "pinned.pem"
    named.write_bytes(pinned.pem + authority.pem)
    lists = tmp_path / "lists.pem"
    lists.write_bytes(authority.revocations())
    accept = {
        "audiences": [assertions.AUDIENCE],
        "issuers": [
            {
                "issuer": "urn:idp-ca",
                "certificates_file": str(authority.write(tmp_path)),
                "names": ["urn:idp-ca"],
                "revocation_file": str(lists),
            },
            {"issuer": "urn:pinned", "certificates_file": str(named), "revocation_file": str(lists)},
        ],
    }
    async with running_stack(
        tmp_path / "stack",
        home_community_id="2.999.5",
        responding_gateway={"enabled": True},
        security={"access": "open", "assertions": {"accept": accept}},
    ) as stack:
        service = Service(stack)
        kept = security(signed(issuer="urn:idp-ca", signer=first))
        of_pinned = security(signed(issuer="urn:pinned", signer=pinned))
        assert await service.believed(kept)
        assert await service.believed(of_pinned)

        async def after(content, header):
            lists.write_bytes(content)
            async with asyncio.timeout(60):
                while (await service.ask(header))[1].fault is None:
                    await asyncio.sleep(0.1)

        await after(authority.revocations(first, pinned), kept)
        assert await service.refusal(kept) in {"FailedAuthentication", "FailedCheck"}, (
            "though it was good before"
        )
        assert await service.refusal(of_pinned) in {"FailedAuthentication", "FailedCheck"}
        other = security(signed(issuer="urn:idp-ca", signer=second))
        assert await service.believed(other)
        # lists of somebody who only calls itself so count for nothing
        forged = Authority("Assertion authority").revocations(days=(-1, 30))
        await after(forged, other)
        assert await service.refusal(other) in {"FailedAuthentication", "FailedCheck"}
