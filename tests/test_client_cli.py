"""`gateway publish | find | get` against a running gateway, as a person and as a program uses them."""

import base64
import hashlib
import json
import os
import subprocess
import sys

import pytest
from aiohttp import web

from gateway.demo.bundles import provide_bundle
from gateway.demo.cda import write_cda
from gateway.demo.content import WARD_PHYSICIAN, sample_content
from gateway.demo.samples import CLASS_CODES_BY_TYPE, DOCUMENT_DEFAULTS, IdSource
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack, site


async def gateway(*arguments, cwd=None):
    """Exit code, standard output and standard error."""
    import asyncio

    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "MHD_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.cli",
        *map(str, arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean | {"COLUMNS": "200"},
        cwd=cwd,
    )
    out, err = await process.communicate()
    return process.returncode, out, err.decode()


async def test_a_bundle_is_published_found_and_got(tmp_path):
    patient, document = a_patient(), a_document(content=b"first\r\nsecond", title="A [red]note[/red]")
    file = tmp_path / "provide.json"
    file.write_text(json.dumps(provide_bundle([document], patient=patient)))
    async with running_stack(tmp_path) as stack:
        url = ("--url", stack.base_url)
        code, out, err = await gateway("publish", file, *url)
        assert code == 0, err
        assert b"provide.json  201 Created  " in out
        assert b"DocumentReference/" in out

        code, out, err = await gateway("find", patient.token, *url)
        assert code == 0, err
        assert b"A [red]note[/red]" in out, "what others wrote is no markup"

        code, out, err = await gateway("find", patient.token, "--json", *url)
        (line,) = out.splitlines()
        reference = json.loads(line)
        assert reference["content"][0]["attachment"]["title"] == "A [red]note[/red]"

        target = tmp_path / "note.txt"
        code, out, err = await gateway("get", reference["id"], "-o", target, *url)
        assert (code, out, err) == (0, b"", "")
        assert target.read_bytes() == document.content
        assert not list(tmp_path.glob("*.part"))

        code, out, err = await gateway("get", reference["id"], "-o", target, "--json", *url)
        assert json.loads(out) == {
            "file": str(target),
            "bytes": len(document.content),
            "sha1": hashlib.sha1(document.content).hexdigest(),
            "contentType": reference["content"][0]["attachment"]["contentType"],
        }

        code, out, err = await gateway("get", reference["content"][0]["attachment"]["url"], *url)
        assert (code, out) == (0, document.content)

        code, out, err = await gateway("find", patient.token, "-t", "List", *url)
        assert code == 0, err
        assert len(out.splitlines()) == 2


async def test_documents_that_say_what_they_are_need_no_more(tmp_path):
    content = sample_content("client")
    patient = a_patient()
    cda = tmp_path / "letter.xml"
    cda.write_bytes(
        write_cda(
            IdSource(patient.id),
            identifier=IdSource(patient.id).oid(9),
            patient=patient,
            author=WARD_PHYSICIAN,
            written="20240201101500+0100",
        )
    )
    key_objects, manifest = tmp_path / "study.dcm", tmp_path / "study.json"
    manifest.write_text(json.dumps(provide_bundle([content.manifest], patient=content.patient)))
    key_objects.write_bytes(content.manifest.content)
    code, _, err = await gateway("publish", key_objects, "--url", "http://127.0.0.1:9/fhir")
    assert code == 1
    assert "gateway manifest convert" in err
    publish = {"defaults": DOCUMENT_DEFAULTS, "class_codes": CLASS_CODES_BY_TYPE}
    async with running_stack(tmp_path, publish=publish) as stack:
        code, out, err = await gateway("publish", cda, manifest, "--url", stack.base_url)
        assert code == 0, err
        assert {line.split()[0] for line in out.splitlines()} == {b"letter.xml", b"study.json"}
        assert len(await stack.find(patient__identifier=patient.token)) == 1
        code, out, _ = await gateway(
            "find", content.patient.token, "-t", "ImagingStudy", "-w", "modality=CT", "--url", stack.base_url
        )
        assert code == 0
        assert b"16 images" in out


async def test_what_the_server_refuses_is_one_line_and_exit_1(tmp_path):
    file = tmp_path / "bad.json"
    file.write_text(json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": []}))
    async with running_stack(tmp_path) as stack:
        url = ("--url", stack.base_url)
        code, out, err = await gateway("publish", file, *url)
        assert (code, out) == (1, b"")
        assert err.startswith("publish: HTTP 4")
        assert len(err.splitlines()) == 1
        code, _, err = await gateway(
            "get", "3f0c5d7e-8f2a-4b6e-9d0c-1a2b3c4d5e6f", "-o", tmp_path / "x", *url
        )
        assert code == 1
        assert err.startswith("get: HTTP 404")
        assert not (tmp_path / "x").exists()
        code, _, err = await gateway("find", "urn:oid:2.999|1", "-w", "nonsense", *url)
        assert code == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"plain text", "no FHIR resource in JSON and no XML"),
        (b'{"resourceType": "Patient"}', "a Patient cannot be published"),
    ],
)
async def test_a_file_that_is_no_document_is_not_sent(tmp_path, content, said):
    file = tmp_path / "file"
    file.write_bytes(content)
    code, _, err = await gateway("publish", file, "--url", "http://127.0.0.1:9/fhir")
    assert code == 1
    assert said in err


async def test_no_connection_is_one_line():
    code, _, err = await gateway("find", "urn:oid:2.999|1", "--url", "http://127.0.0.1:9/fhir")
    assert (code, err) == (1, "find: 127.0.0.1:9: no connection\n")


def attachment(content, changes):
    sha1 = base64.b64encode(hashlib.sha1(content).digest()).decode()
    return {"url": "/content", "size": len(content), "hash": sha1, **changes}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": 3}, "has 7 bytes, attachment.size says 3"),
        ({"hash": base64.b64encode(b"x" * 20).decode()}, "not the one whose SHA-1"),
        ({"url": "http://other.example/content"}, "is at another server"),
    ],
)
async def test_a_document_that_is_not_what_was_told_leaves_no_file(tmp_path, changes, said):
    content = b"content"
    app = web.Application()

    async def read(request):
        where = {"content": [{"attachment": attachment(content, changes)}]}
        return web.json_response({"resourceType": "DocumentReference", "id": "1", **where})

    async def give(request):
        return web.Response(body=content)

    app.router.add_get("/DocumentReference/1", read)
    app.router.add_get("/content", give)
    async with site(app) as url:
        code, _, err = await gateway("get", "1", "-o", tmp_path / "x", "--url", url)
    assert code == 1
    assert said in err
    assert list(tmp_path.iterdir()) == []
