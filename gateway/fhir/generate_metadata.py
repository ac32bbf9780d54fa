"""Generate Metadata, request and answer of ITI-106 (IHE MHD 4.2.4 2:3.106): Parameters with one document in,
Parameters with the Reference of its DocumentReference out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson
from lxml import etree

from gateway.fhir.datatypes import Json, decode_base64
from gateway.fhir.findings import Findings
from gateway.fhir.formats import FhirFormat, read_resource
from gateway.fhir.issues import fail
from gateway.fhir.provide_bundle_fhir_documents import check_fhir_document
from gateway.fhir.validation import is_resource_type, validate_resource
from gateway.fhir.xml_writer import FHIR_NAMESPACE
from gateway.model.releases import FhirRelease
from gateway.safe_xml import parse_xml

PARAMETER: Final = "Parameters.parameter[0]"
RESOURCE: Final = f"{PARAMETER}.resource"
_ALLOWED: Final = frozenset({"id", "extension", "name", "resource"})


class _RawParameter(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"")


class _RawParameters(msgspec.Struct):
    parameter: list[_RawParameter] = []


@dataclass(frozen=True, slots=True)
class GivenDocument:
    """The document of a request.

    `content` are the bytes that are stored, `mime_type` their media type without parameters. `bundle` is
    the parsed FHIR document where it came as one.
    """

    content: bytes
    mime_type: str
    bundle: Json | None = None


def read_generate_metadata(
    raw: bytes, max_bytes: int, wire_format: FhirFormat, release: FhirRelease = FhirRelease.R4
) -> GivenDocument:
    """Read a request body.

    Raises OutcomeError: 413 above `max_bytes`, 400 where it is not FHIR, 422 where it is not the Parameters
    of this operation.
    """
    if len(raw) > max_bytes:
        raise fail(413, "too-long", f"The Parameters have more than {max_bytes} bytes.")
    parameters = read_resource(raw, wire_format, "Parameters", release)
    findings = Findings()
    _check_fhir(parameters, findings, release)
    findings.raise_errors(400, as_sent=True)
    _check_profile(parameters, findings)
    findings.raise_errors(422)
    resource: Json = parameters["parameter"][0]["resource"]
    if resource["resourceType"] == "Bundle":
        return GivenDocument(_bytes_of_bundle(raw, wire_format), wire_format.value, resource)
    return _read_binary(resource)


def _check_fhir(parameters: Json, findings: Findings, release: FhirRelease) -> None:
    if parameters.get("resourceType") != "Parameters":
        findings.error("Parameters.resourceType", "value", "The body of this operation is Parameters.")
        return
    given = parameters.get("parameter")
    outline = parameters
    if isinstance(given, list) and all(isinstance(item, dict) for item in given):
        # resources are checked one by one, and a document can be large
        outline = {**parameters, "parameter": [_without_resource(item) for item in given]}
        for number, item in enumerate(given):
            if "resource" in item:
                place = f"Parameters.parameter[{number}].resource"
                _check_resource(item["resource"], place, findings, release)
    validate_resource(outline, "Parameters", findings, release)


def _without_resource(parameter: Json) -> Json:
    return {name: item for name, item in parameter.items() if name != "resource"}


def _check_resource(resource: Any, path: str, findings: Findings, release: FhirRelease) -> None:
    if not isinstance(resource, dict) or not is_resource_type(resource.get("resourceType"), release):
        findings.error(path, "structure", f"This is not a resource that FHIR {release.name} defines.")
    elif resource["resourceType"] == "Bundle":
        check_fhir_document(resource, path, findings, release)
    elif resource["resourceType"] == "Binary":
        validate_resource({k: v for k, v in resource.items() if k != "data"}, path, findings, release)


def _check_profile(parameters: Json, findings: Findings) -> None:
    """Profile GenerateMetadata.Parameters.In, which is closed."""
    given = parameters.get("parameter") or []
    if not given:
        findings.error("Parameters.parameter", "required", "The parameter document is needed.")
    for number, item in enumerate(given):
        path = f"Parameters.parameter[{number}]"
        if number or item.get("name") != "document":
            findings.error(
                f"{path}.name" if not number else path,
                "structure",
                "This operation takes one parameter, document.",
            )
            continue
        for name in sorted(item.keys() - _ALLOWED):
            findings.error(f"{path}.{name}", "structure", "The document is in resource and nowhere else.")
        kind = (item.get("resource") or {}).get("resourceType")
        if kind is None:
            findings.error(f"{path}.resource", "required", "The document is here, as Binary or Bundle.")
        elif kind not in ("Binary", "Bundle"):
            findings.error(f"{path}.resource", "value", f"A document is a Binary or a Bundle, not a {kind}.")


def _read_binary(resource: Json) -> GivenDocument:
    data = resource.get("data")
    content = decode_base64(data) if isinstance(data, str) else None
    if not data:
        raise fail(422, "required", "The document itself is here, as base64.", expression=f"{RESOURCE}.data")
    if content is None:
        raise fail(400, "value", "The data of a Binary is base64.", expression=f"{RESOURCE}.data")
    return GivenDocument(content, str(resource["contentType"]).partition(";")[0].strip().lower())


def _bytes_of_bundle(raw: bytes, wire_format: FhirFormat) -> bytes:
    """The document as it stands in the request: its bytes in JSON, its exclusive canonical form in XML."""
    if wire_format is FhirFormat.JSON:
        return bytes(msgspec.json.decode(raw, type=_RawParameters).parameter[0].resource)
    namespaces: Mapping[str, str] = {"f": FHIR_NAMESPACE}
    document = parse_xml(raw, huge=True, charset="utf-8").find(
        "f:parameter/f:resource/f:Bundle", dict(namespaces)
    )
    return b"" if document is None else bytes(etree.tostring(document, method="c14n", exclusive=True))


def write_generate_metadata(resource_id: str) -> bytes:
    """The answer: Parameters with the Reference of the DocumentReference."""
    return orjson.dumps(
        {
            "resourceType": "Parameters",
            "parameter": [
                {
                    "name": "DocumentReference",
                    "valueReference": {"reference": f"DocumentReference/{resource_id}"},
                }
            ],
        }
    )
