"""The two formats of FHIR that servers of IHE MHD speak (IHE MHD 4.2.4 3.65.4.1; ITI TF-2 Appendix Z.6).

Everything in this package works on FHIR JSON. XML is read into it and written from it, and only where a
client asks for XML. Everything works on R4 as well; R5 is written from it, and only for its bases.
"""

from enum import StrEnum
from typing import Final

import orjson
import structlog

from gateway.fhir.datatypes import Json
from gateway.fhir.issues import Issue, OutcomeError, fail
from gateway.fhir.outcome import write_outcome
from gateway.fhir.strict_json import read_json
from gateway.fhir.versions import ConversionError, to_r5
from gateway.fhir.xml_reader import read_xml
from gateway.fhir.xml_writer import write_xml
from gateway.model.releases import FhirRelease

log = structlog.get_logger()

_NOT_SHOWN: Final = (
    "A resource cannot be shown in FHIR R5, for its document has values in it that FHIR R4 does not have "
    "either; it can be read at the base of R4."
)


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
    """The resource in R5; of a Bundle, what can be shown in it. Raises OutcomeError 406."""
    lost: list[str] = []
    try:
        converted = to_r5(content, lost.append)
    except ConversionError as error:
        log.warning("fhir.not_in_r5", resource=content.get("resourceType"), reason=str(error))
        if content.get("resourceType") != "Bundle":
            raise fail(406, "not-supported", _NOT_SHOWN) from None
        converted = to_r5(_showable(content), lost.append)
    if lost:
        log.info("fhir.no_place_in_r5", elements=sorted(set(lost)))
    return converted


def _showable(bundle: Json) -> Json:
    """A searchset without the resources that cannot be shown in R5, which says so."""
    kept = [entry for entry in bundle["entry"] if _converts(entry)]
    outcome = write_outcome([Issue("warning", "incomplete", _NOT_SHOWN)])
    return {**bundle, "entry": [*kept, {"resource": outcome, "search": {"mode": "outcome"}}]}


def _converts(entry: Json) -> bool:
    try:
        to_r5(entry)
        to_r5(entry.get("resource", {}))
    except ConversionError:
        return False
    return True
