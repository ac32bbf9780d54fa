"""ITI-65, ITI-67 and ITI-68 through the gateway, with a JAX-WS registry and repository behind it."""

import hashlib
from base64 import b64decode
from pathlib import Path

import pytest

from gateway.demo.bundles import provide_bundle
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack

from .java_peer import REPOSITORY

pytestmark = pytest.mark.interop

CONTENTS = (b"\r\nstarts and ends with CR LF\r\n", b"\0", bytes(range(256)) * 4000)


async def test_documents_are_published_found_and_retrieved(java_url: str, tmp_path: Path) -> None:
    patient = a_patient()
    documents = [a_document(content=content, title=f"Report {n}") for n, content in enumerate(CONTENTS)]
    peers = {
        "registry": {"url": f"{java_url}/xds/registry"},
        "repositories": [{"unique_id": REPOSITORY, "url": f"{java_url}/xds/repository"}],
    }
    async with running_stack(tmp_path, **peers) as stack:
        status, answer = await stack.publish(provide_bundle(documents, patient=patient))
        assert status == 200, answer
        found = await stack.find(patient__identifier=patient.token, status="current")
        titles = {}
        for reference in found:
            attachment = reference["content"][0]["attachment"]
            status, _, body = await stack.download(reference)
            assert status == 200
            assert hashlib.sha1(body).digest() == b64decode(attachment["hash"])
            assert len(body) == attachment["size"]
            titles[attachment["title"]] = body
        assert titles == {f"Report {n}": content for n, content in enumerate(CONTENTS)}
        assert not stack.soap_calls, "nothing of this went to the embedded affinity domain"
