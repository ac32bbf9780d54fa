"""Assertions and the XML signatures of the JDK: it finds ours good in the envelope that peers get, and we its own."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from tests.security import assertions
from tests.system.stack import running_stack
from tests.system.test_assertions_of_others import Service, security
from tests.system.test_assertions_to_peers import a_site, copied, envelope_of

SOURCE = Path(__file__).parent / "java" / "dsig" / "Assertions.java"

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not (shutil.which("java") and shutil.which("javac")), reason="needs a JDK"),
]


def java(*arguments):
    done = subprocess.run(
        ["java", str(SOURCE), *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("kind", ["rsa", "ec"])
async def test_the_jdk_finds_our_signatures_good(tmp_path, kind):
    _, settings = await a_site(tmp_path, kind=kind, access="open")
    seen = []

    async def look(request):
        seen.append(await copied(request))

    async with running_stack(tmp_path / "stack", **settings) as stack:
        stack.interfere = look
        await stack.find(patient__identifier="urn:oid:2.999.1.1|1", status="current")
    envelope = envelope_of(seen[0])
    good, bad = tmp_path / "good.xml", tmp_path / "bad.xml"
    good.write_bytes(envelope)
    bad.write_bytes(envelope.replace(b"Contact point", b"Contact-point"))
    assert bad.read_bytes() != envelope
    assert java("verify", tmp_path / "sts.pem", good, bad) == ["good", "bad"]


async def test_we_find_signatures_of_the_jdk_good(tmp_path):
    signer = assertions.SIGNER
    store = tmp_path / "idp.p12"
    store.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"idp", signer.key, signer.certificate, None, BestAvailableEncryption(b"changeit")
        )
    )
    bare, signed = tmp_path / "bare.xml", tmp_path / "signed.xml"
    bare.write_text(assertions.text(name_id="Jörg"), "utf-8")
    java("sign", store, "changeit", bare, signed)
    (tmp_path / "idp.pem").write_bytes(signer.pem)
    accept = {
        "audiences": [assertions.AUDIENCE],
        "issuers": [{"issuer": assertions.ISSUER, "certificates_file": str(tmp_path / "idp.pem")}],
    }
    async with running_stack(
        tmp_path / "stack",
        home_community_id="2.999.5",
        responding_gateway={"enabled": True},
        security={"access": "open", "assertions": {"accept": accept}},
    ) as stack:
        service = Service(stack)
        text = signed.read_text("utf-8")
        assert await service.believed(security(text))
        assert await service.refusal(security(text.replace("Jörg", "Jörk"))) == "FailedCheck"
