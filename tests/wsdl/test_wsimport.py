"""The contract as another SOAP stack sees it: classes that Debian's wsimport (JAX-WS RI) makes of it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.soap.contract import default_folder

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("wsimport") is None, reason="wsimport is not installed"),
]


@pytest.fixture(scope="module", params=["registry", "repository"])
def generated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Source text of each generated class, by name; and the actor under "actor"."""
    folder = tmp_path_factory.mktemp(request.param)
    command = [
        "wsimport",
        "-extension",
        "-Xnocompile",
        "-d",
        folder,
        default_folder() / f"{request.param}.wsdl",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    sources = {path.stem: path.read_text(encoding="utf-8") for path in Path(folder).rglob("*.java")}
    return {**sources, "actor": request.param}


def test_operations_keep_their_actions_both_ways(generated: dict[str, str]) -> None:
    registry = generated["actor"] == "registry"
    port = generated["DocumentRegistryPortType" if registry else "DocumentRepositoryPortType"]
    names = (
        ("RegistryStoredQuery", "RegisterDocumentSet-b")
        if registry
        else ("ProvideAndRegisterDocumentSet-b", "RetrieveDocumentSet")
    )
    for name in names:
        assert f'input = "urn:ihe:iti:2007:{name}", output = "urn:ihe:iti:2007:{name}Response"' in port


def test_objects_keep_their_classes_and_what_they_inherit(generated: dict[str, str]) -> None:
    members = generated["RegistryObjectListType"]
    for name in ("ExtrinsicObject", "RegistryPackage", "Classification", "ObjectRef", "User"):
        assert f'@XmlElement(name = "{name}", type = {name}Type.class)' in members
    assert "extends RegistryObjectType" in generated["ClassificationType"]
    assert "extends IdentifiableType" in generated["RegistryObjectType"]


@pytest.mark.parametrize("generated", ["repository"], indirect=True)
def test_documents_are_data_handlers_that_may_travel_as_attachments(generated: dict[str, str]) -> None:
    for name in ("ProvideAndRegisterDocumentSetRequestType", "RetrieveDocumentSetResponseType"):
        assert '@XmlMimeType("application/octet-stream")' in generated[name]
        assert "protected DataHandler" in generated[name]


@pytest.mark.parametrize(
    ("generated", "port", "request_action", "response_action"),
    [
        (
            "imaging-source",
            "ImagingDocumentSourcePortType",
            "urn:ihe:rad:2009:RetrieveImagingDocumentSet",
            "urn:ihe:iti:2007:RetrieveDocumentSetResponse",
        ),
        (
            "imaging-gateway",
            "RespondingImagingGatewayPortType",
            "urn:ihe:rad:2011:CrossGatewayRetrieveImagingDocumentSet",
            "urn:ihe:rad:2011:CrossGatewayRetrieveImagingDocumentSetResponse",
        ),
    ],
    indirect=["generated"],
)
def test_images_are_asked_for_by_document_requests_of_xds(
    generated: dict[str, str], port: str, request_action: str, response_action: str
) -> None:
    assert f'input = "{request_action}", output = "{response_action}"' in generated[port]
    request = generated["RetrieveImagingDocumentSetRequestType"]
    assert "extends RetrieveDocumentSetRequestType" in request
    assert "import ihe.iti.xds_b._2007.RetrieveDocumentSetRequestType;" in request
