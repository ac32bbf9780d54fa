"""Our checks of Provide Document Bundles and HAPI FHIR's validator come to the same verdict.

Both say yes or no to one change of a good Bundle at a time, and to the examples of IHE MHD 4.2.4. Where they
differ, the table says why.
"""

import copy

import orjson
import pytest

from gateway.fhir.issues import OutcomeError
from gateway.fhir.provide_bundle import read_provide_bundle
from gateway.fhir.provide_bundle_folders import FolderState
from gateway.model import codes
from tests.fhir import provide_samples as samples
from tests.fhir import test_provide_examples as examples
from tests.fhir.provide_samples import FOLDER_ID, OLD, concept, identifier, urn

pytestmark = pytest.mark.interop

SET = ("entry", 0, "resource")
DOCUMENT = ("entry", 1, "resource")
BINARY = ("entry", 2, "resource")
FOLDER = ("entry", 3, "resource")
ATTACHMENT = (*DOCUMENT, "content", 0, "attachment")
CONTEXT = (*DOCUMENT, "context")
REMOVED = object()
EXTENSION = [{"url": "https://x.example", "valueBoolean": True}]

CHANGES = {
    # --- harmless
    "nothing": ((), None),
    "no hash": ((*ATTACHMENT, "hash"), REMOVED),
    "no size": ((*ATTACHMENT, "size"), REMOVED),
    "no author": ((*DOCUMENT, "author"), REMOVED),
    "a title": ((*ATTACHMENT, "title"), "Report"),
    "a description": ((*DOCUMENT, "description"), "Text\nof two lines"),
    "an extension": ((*DOCUMENT, "extension"), EXTENSION),
    "a period": ((*CONTEXT, "period"), {"start": "2024-02-01", "end": "2024-02-02T10:00:00Z"}),
    "an event": ((*CONTEXT, "event"), [concept("T-D3000", "http://snomed.info/sct")]),
    "an entryUUID": ((*DOCUMENT, "identifier"), [identifier("entryUUID", urn(4))]),
    "a uniqueId as UUID": ((*DOCUMENT, "masterIdentifier", "value"), urn(5)),
    "a logical subject": (
        (*DOCUMENT, "subject"),
        {"identifier": {"system": "urn:oid:2.999.2", "value": "P1"}},
    ),
    "a title of the set": ((*SET, "title"), "Submission"),
    "a note of the set": ((*SET, "note"), [{"text": "for the GP"}]),
    "a home community": (
        (*DOCUMENT, "extension"),
        [{"url": codes.EXT_HOME_COMMUNITY, "valueOid": "urn:oid:2.999.6"}],
    ),
    # --- the Bundle
    "no submission set": ((*SET[:2],), REMOVED),
    "type batch": (("type",), "batch"),
    "no type": (("type",), REMOVED),
    "total": (("total",), 3),
    "unknown element": (("colour",), "red"),
    "a Practitioner as entry": (BINARY, {"resourceType": "Practitioner"}),
    "an Encounter as entry": (
        BINARY,
        {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}},
    ),
    "search in an entry": (("entry", 1, "search"), {"mode": "match"}),
    "response in an entry": (("entry", 1, "response"), {"status": "200"}),
    "no request": (("entry", 1, "request"), REMOVED),
    "a method that is none": (("entry", 1, "request", "method"), "BREW"),
    "PUT of the set": (("entry", 0, "request"), {"method": "PUT", "url": f"List/{FOLDER_ID}"}),
    "PUT of a document": (("entry", 1, "request"), {"method": "PUT", "url": f"DocumentReference/{OLD}"}),
    "a fullUrl twice": (("entry", 2, "fullUrl"), urn(10)),
    # --- DocumentReference
    **{
        f"no {'.'.join(map(str, path))}": ((*DOCUMENT, *path), REMOVED)
        for path in (
            ("masterIdentifier",),
            ("masterIdentifier", "type"),
            ("masterIdentifier", "system"),
            ("masterIdentifier", "value"),
            ("status",),
            ("type",),
            ("category",),
            ("subject",),
            ("securityLabel",),
            ("content",),
            ("content", 0, "format"),
            ("content", 0, "attachment", "contentType"),
            ("content", 0, "attachment", "url"),
            ("content", 0, "attachment", "language"),
            ("content", 0, "attachment", "creation"),
            ("context", "facilityType"),
            ("context", "practiceSetting"),
            ("context", "sourcePatientInfo"),
            ("contained", 0, "identifier"),
        )
    },
    "docStatus": ((*DOCUMENT, "docStatus"), "final"),
    "modifierExtension": ((*DOCUMENT, "modifierExtension"), EXTENSION),
    "data beside url": ((*ATTACHMENT, "data"), "SGVsbG8="),
    "two categories": ((*DOCUMENT, "category"), [concept("11369-6"), concept("34133-9")]),
    "status superseded": ((*DOCUMENT, "status"), "superseded"),
    "status entered-in-error": ((*DOCUMENT, "status"), "entered-in-error"),
    "status that is none": ((*DOCUMENT, "status"), "done"),
    "an identifier of another uniqueId": (
        (*DOCUMENT, "identifier"),
        [identifier("uniqueId", "urn:oid:2.999.5")],
    ),
    "an entryUUID that is none": ((*DOCUMENT, "identifier"), [identifier("entryUUID", "urn:oid:2.999.5")]),
    "two entryUUIDs": ((*DOCUMENT, "identifier"), [identifier("entryUUID", urn(n)) for n in (1, 2)]),
    "a uniqueId without prefix": ((*DOCUMENT, "masterIdentifier", "value"), "2.999.1"),
    "an author outside": ((*DOCUMENT, "author"), [{"reference": "#a"}, {"reference": "Practitioner/1"}]),
    "an authenticator outside": (
        (*DOCUMENT, "authenticator"),
        {"reference": "https://x.example/Practitioner/1"},
    ),
    "a source patient outside": ((*CONTEXT, "sourcePatientInfo"), {"reference": "Patient/9"}),
    "a practitioner as source patient": ((*CONTEXT, "sourcePatientInfo"), {"reference": "#a"}),
    "a contained resource that is not there": (
        (*DOCUMENT, "author"),
        [{"reference": "#a"}, {"reference": "#b"}],
    ),
    "a group as subject": ((*DOCUMENT, "subject"), {"reference": "Group/1"}),
    "an unknown patient": ((*DOCUMENT, "subject"), {"reference": "Patient/unknown"}),
    "another patient": ((*DOCUMENT, "subject"), {"reference": "Patient/8"}),
    "an unknown code system": ((*DOCUMENT, "type", "coding", 0, "system"), "https://codes.example"),
    "a type without code": ((*DOCUMENT, "type"), {"text": "Summary"}),
    "an event without code": ((*CONTEXT, "event"), [{"text": "Thorax"}]),
    "a related reference": ((*CONTEXT, "related"), [{"reference": "ServiceRequest/1"}]),
    "a wrong hash": ((*ATTACHMENT, "hash"), "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
    "a hash that is no base64": ((*ATTACHMENT, "hash"), "0a4d55a8-"),
    "a wrong size": ((*ATTACHMENT, "size"), 24),
    "a negative size": ((*ATTACHMENT, "size"), -1),
    "a size as text": ((*ATTACHMENT, "size"), "11"),
    "a creation that is no time": ((*ATTACHMENT, "creation"), "yesterday"),
    "a date without zone": ((*ATTACHMENT, "creation"), "2026-01-02T03:04:05"),
    "a period that ends before it starts": (
        (*CONTEXT, "period"),
        {"start": "2024-02-02", "end": "2024-02-01"},
    ),
    "a url outside of the Bundle": ((*ATTACHMENT, "url"), "https://x.example/1.txt"),
    "a Binary of another type": ((*BINARY, "contentType"), "text/xml"),
    "a Binary that is not base64": ((*BINARY, "data"), "Hello World"),
    "a Binary without type": ((*BINARY, "contentType"), REMOVED),
    "a null": ((*DOCUMENT, "description"), None),
    "an empty text": ((*DOCUMENT, "description"), ""),
    "an empty array": ((*DOCUMENT, "author"), []),
    # --- data types of FHIR
    "an unknown element inside": ((*DOCUMENT, "content", 0, "colour"), "red"),
    "an object for a text": ((*DOCUMENT, "description"), {"text": "x"}),
    "a text for an object": ((*DOCUMENT, "context"), "x"),
    "an object for an array": ((*DOCUMENT, "category"), concept("11369-6")),
    "an empty object": ((*DOCUMENT, "description"), {}),
    "an empty Coding": ((*DOCUMENT, "type", "coding", 0), {}),
    "a day that does not exist": ((*ATTACHMENT, "creation"), "2026-02-30"),
    "an hour that does not exist": ((*ATTACHMENT, "creation"), "2026-01-02T25:00:00Z"),
    "a zone that does not exist": ((*ATTACHMENT, "creation"), "2026-01-02T03:04:05+15:00"),
    "a code with two spaces": ((*DOCUMENT, "type", "coding", 0, "code"), "a  b"),
    "a system with a space": ((*DOCUMENT, "type", "coding", 0, "system"), "urn:oid:2.999 "),
    "a contentType that is none": ((*ATTACHMENT, "contentType"), "plain"),
    "a language that is none": ((*ATTACHMENT, "language"), "in English"),
    "a language in lower case": ((*ATTACHMENT, "language"), "de-ch"),
    "a fullUrl that is no URL": (("entry", 1, "fullUrl"), "my document"),
    "an id that is none": ((*DOCUMENT, "id"), "a b"),
    "a use that is none": ((*DOCUMENT, "masterIdentifier", "use"), "mine"),
    "a type of MHD that is none": ((*DOCUMENT, "masterIdentifier", "type", "coding", 0, "code"), "masterId"),
    "a gender that is none": ((*DOCUMENT, "contained", 0, "gender"), "X"),
    "a birthDate that is none": ((*DOCUMENT, "contained", 0, "birthDate"), "1975-13-01"),
    "a name as text": ((*DOCUMENT, "contained", 0, "name"), "Muster"),
    "a contained resource without id": ((*DOCUMENT, "contained", 1, "id"), REMOVED),
    "a contained resource in one": (
        (*DOCUMENT, "contained", 1, "contained"),
        [{"resourceType": "Organization", "id": "o", "name": "x"}],
    ),
    "a contained resource with a tag": ((*DOCUMENT, "contained", 1, "meta"), {"tag": [{"code": "x"}]}),
    "a contained resource with security": (
        (*DOCUMENT, "contained", 1, "meta"),
        {"security": [{"code": "x"}]},
    ),
    "a telecom without system": ((*DOCUMENT, "contained", 1, "telecom"), [{"value": "+43"}]),
    "an extension without value": ((*DOCUMENT, "extension"), [{"url": "https://x.example"}]),
    "an extension without url": ((*DOCUMENT, "extension"), [{"valueString": "x"}]),
    "an extension with two values": (
        (*DOCUMENT, "extension"),
        [{"url": "https://x.example", "valueString": "x", "valueCode": "x"}],
    ),
    "a home community that is no OID": (
        (*DOCUMENT, "extension"),
        [{"url": codes.EXT_HOME_COMMUNITY, "valueOid": "2.999.6"}],
    ),
    "a home community as text": (
        (*DOCUMENT, "extension"),
        [{"url": codes.EXT_HOME_COMMUNITY, "valueString": "urn:oid:2.999.6"}],
    ),
    "a relation without target": ((*DOCUMENT, "relatesTo"), [{"code": "appends"}]),
    "a relation that is none": (
        (*DOCUMENT, "relatesTo"),
        [{"code": "amends", "target": {"reference": f"DocumentReference/{OLD}"}}],
    ),
    "a narrative with a script": (
        (*DOCUMENT, "text"),
        {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>'},
    ),
    "a narrative without status": (
        (*DOCUMENT, "text"),
        {"div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    ),
    # --- SubmissionSet
    **{
        f"set without {name}": ((*SET, name), REMOVED)
        for name in ("status", "mode", "code", "date", "subject", "identifier", "entry")
    },
    "set without designationType": ((*SET, "extension", 0), REMOVED),
    "set without sourceId": ((*SET, "extension", 1), REMOVED),
    "set retired": ((*SET, "status"), "retired"),
    "set as snapshot": ((*SET, "mode"), "snapshot"),
    "set with emptyReason": ((*SET, "emptyReason"), {"text": "nothing"}),
    "set with encounter": ((*SET, "encounter"), {"reference": "Encounter/1"}),
    "set in an order": ((*SET, "orderedBy"), {"text": "date"}),
    "set with a UUID as uniqueId": ((*SET, "identifier", 0, "value"), urn(5)),
    "set with another system of uniqueId": ((*SET, "identifier", 0, "system"), "urn:oid:2.999.1"),
    "set with a deleted item": ((*SET, "entry", 0, "deleted"), True),
    "set with a flagged item": ((*SET, "entry", 0, "flag"), {"text": "x"}),
    "set with an item that is not there": ((*SET, "entry", 0, "item"), {"reference": urn(888)}),
    "set with a Binary as item": ((*SET, "entry", 0, "item"), {"reference": urn(100)}),
    "set with a source outside": ((*SET, "source"), {"reference": "Practitioner/1"}),
    "set with two notes": ((*SET, "note"), [{"text": "a"}, {"text": "b"}]),
    "set with a sourceId that is no OID": ((*SET, "extension", 1, "valueIdentifier", "value"), "our-system"),
    "set with a sourceId as text": (
        (*SET, "extension", 1),
        {"url": codes.EXT_SOURCE_ID, "valueString": "2.999.1"},
    ),
    # --- Folder
    "folder without title": ((*FOLDER, "title"), REMOVED),
    "folder without subject": ((*FOLDER, "subject"), REMOVED),
    "folder without designationType": ((*FOLDER, "extension"), REMOVED),
    "folder without identifier": ((*FOLDER, "identifier"), REMOVED),
    "folder with emptyReason": ((*FOLDER, "emptyReason"), {"text": "nothing"}),
    "folder with source": ((*FOLDER, "source"), {"display": "Dr. Welby"}),
    "folder with a set as item": ((*FOLDER, "entry", 0, "item"), {"reference": urn(1)}),
    "folder with a flagged item": ((*FOLDER, "entry", 0, "flag"), {"text": "x"}),
}

_CODES = "XDS keeps codes with their scheme, not text"
_BUNDLE = "no profile looks from one entry into another"
_BYTES = "no profile looks into the document"
_PATIENT = "no profile knows the patients"
_FOLDER = "the profile of the Bundle takes Minimal.Folder by mistake; its text says Comprehensive.Folder"

ONLY_OURS = {
    "no contained.0.identifier": "XDS has sourcePatientId from it; the profile leaves it open",
    "status superseded": "a registry makes approved documents; the profile takes both codes",
    "an identifier of another uniqueId": "masterIdentifier and identifier are compared in the text of the guide only",
    "a group as subject": "the validator does not look up what a relative reference leads to",
    "an unknown patient": _PATIENT,
    "another patient": _BUNDLE,
    "an unknown code system": "settings say which OID a system has; no profile does",
    "a type without code": _CODES,
    "an event without code": _CODES,
    "a related reference": "referenceIdList has identifiers only",
    "a wrong hash": _BYTES,
    "a wrong size": _BYTES,
    "a url outside of the Bundle": _BUNDLE,
    "a Binary of another type": _BUNDLE,
    "a contentType that is none": "the validator takes any word for a media type",
    "set with an item that is not there": _BUNDLE,
    "folder without title": _FOLDER,
    "folder without subject": _FOLDER,
    "folder without designationType": _FOLDER,
}
"""Changes that we alone refuse, and why the validator cannot."""

ONLY_HAPI = {
    "a language in lower case": "language tags are equal in any case (RFC 5646 2.1.1)",
    "a narrative with a script": "XDS has no place for narratives, so none is kept or shown",
}
"""Changes that the validator alone refuses, and why we need not."""

EXAMPLES_ONLY_OURS = {
    "comprehensiveProvideDocumentBundleDocument": "its systems of identifiers are in no settings",
    "minimalProvideDocumentBundleSimple": "XDS requires what Minimal Metadata leaves out",
    "minimalProvideDocumentBundleSimpleContained": "XDS requires what Minimal Metadata leaves out",
    "unContainedComprehensiveProvideDocumentBundleComplete": "what it refers to is not there",
}
"""Examples that may be refused, depending on what is offered and set."""


def mend_folder(made):
    made["entry"][2]["request"]["url"] = f"List/{OLD}"


def mend_sizes(made):
    examples.entries(made, "DocumentReference")[0]["content"][0]["attachment"]["size"] = 23


def mend_unique_ids(made):
    examples.entries(made, "DocumentReference")[1]["masterIdentifier"]["value"] += ".2"


MENDED = {
    "ProvideDocumentBundle-addToFolder": mend_folder,
    "comprehensiveProvideDocumentBundleMultiple": mend_unique_ids,
    "comprehensiveProvideDocumentBundleReplace": mend_sizes,
}
"""The defects of the examples that no profile catches."""


def changed(name):
    path, value = CHANGES[name]
    made = samples.with_folder(b"Hello World")
    if path:
        *steps, last = path
        place = made
        for step in steps:
            place = place[step]
        if value is REMOVED:
            del place[last]
        else:
            place[last] = copy.deepcopy(value)
    for entry in made["entry"]:
        drop_unused(entry["resource"])
    return made


def drop_unused(resource):
    """A contained resource that nothing refers to would be the error (dom-3), not what was changed."""
    used = orjson.dumps(resource)
    if "contained" in resource:
        kept = [c for c in resource["contained"] if "id" not in c or b'"#%s"' % c["id"].encode() in used]
        resource["contained"] = kept
        if not kept:
            del resource["contained"]


FOLDERS = {f"urn:uuid:{name}": FolderState(frozenset()) for name in (OLD, FOLDER_ID)}


def our_errors(bundle, context=None):
    try:
        read_provide_bundle(orjson.dumps(bundle), context or samples.context(), folders=FOLDERS)
    except OutcomeError as error:
        return [f"{i.expression}: {i.diagnostics}" for i in error.issues if i.severity == "error"]
    return []


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_bundle(hapi, name):
    made = changed(name)
    ours, theirs = our_errors(made), hapi.errors(made, codes.PROFILE_COMPREHENSIVE_BUNDLE)
    verdicts = (bool(ours), bool(theirs))
    if name in ONLY_OURS:
        assert verdicts == (True, False), (ours, theirs)
    elif name in ONLY_HAPI:
        assert verdicts == (False, True), (ours, theirs)
    else:
        assert verdicts in {(True, True), (False, False)}, (ours, theirs)


@pytest.mark.skipif(not examples.FOLDER.is_dir(), reason="the examples of the profile are not here")
@pytest.mark.parametrize(
    "name",
    sorted(
        path.stem.removeprefix("Bundle-ex-")
        for path in examples.FOLDER.glob("Bundle-ex-*rovideDocumentBundle*.json")
        if "-response-" not in path.stem
    ),
)
def test_an_example_of_the_guide(hapi, name):
    made = examples.example(f"Bundle-ex-{name}.json")
    MENDED.get(name, lambda bundle: None)(made)
    assert hapi.errors(made) == []
    if name not in EXAMPLES_ONLY_OURS:
        assert our_errors(made, examples.context()) == []
