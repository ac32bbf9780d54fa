"""The two formats of FHIR that servers of IHE MHD speak (IHE MHD 4.2.4 3.65.4.1; ITI TF-2 Appendix Z.6).

Everything in this package works on FHIR JSON. XML is read into it and written from it, and only where a
client asks for XML. Everything works on R4 as well; R5 is written from it, and only for its bases.
"""

from enum import StrEnum

import orjson
import structlog

from gateway.fhir.datatypes import Json
from gateway.fhir.issues import OutcomeError
from gateway.fhir.strict_json import read_json
from gateway.fhir.versions import to_r5
from gateway.fhir.xml_reader import read_xml
from gateway.fhir.xml_writer import write_xml
from gateway.model.releases import FhirRelease

log = structlog.get_logger()


class FhirFormat(StrEnum):
    """A format by its media type."""

    JSON = "application/fhir+json"
    XML = "application/fhir+xml"


def read_resource(
    raw: bytes, wire_format: FhirFormat, root: str, release: FhirRelease = FhirRelease.R4
) -> Json:
    """The resource in a request body, as its release has it. `root` names it in findings.

    Raises OutcomeError 400.
    """
    try:
        return read_xml(raw, release) if wire_format is FhirFormat.XML else read_json(raw, root)
    except OutcomeError as error:
        error.as_sent = True
        raise


def write_resource(
    resource: bytes, wire_format: FhirFormat, *, pretty: bool = False, release: FhirRelease = FhirRelease.R4
) -> bytes:
    """A resource of this server, which is held as JSON of R4, as the client wants to see it."""
    if wire_format is FhirFormat.JSON and not pretty and _is_alike(resource, release):
        return resource
    content = orjson.loads(resource)
    if release is not FhirRelease.R4:
        content = _in_r5(content)
    if wire_format is FhirFormat.XML:
        return write_xml(content, pretty=pretty, release=release)
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 if pretty else None)


def _is_alike(resource: bytes, release: FhirRelease) -> bool:
    """True where the JSON is that of the release already; a Binary can be large."""
    return release is FhirRelease.R4 or resource.startswith(b'{"resourceType":"Binary"')


def _in_r5(content: Json) -> Json:
    lost: list[str] = []
    converted = to_r5(content, lost.append)
    if lost:
        log.info("fhir.no_place_in_r5", elements=sorted(set(lost)))
    return converted
