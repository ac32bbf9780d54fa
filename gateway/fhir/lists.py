"""SubmissionSet and Folder <-> List R4 (IHE MHD 4.2.4, profiles SubmissionSet and Folder and their mapping
to XDS).

FHIR has one person and one organization as source of a SubmissionSet, so further authors of a registry are
reported to `WriteContext.warn`. An intendedRecipient with person and organization becomes two.
"""

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from gateway.fhir.datatypes import (
    Json,
    canonical,
    identifier_role,
    read_code,
    read_date_time,
    read_entry_uuid,
    read_unique_id,
    write_coding,
    write_date_time,
    write_entry_uuid,
    write_unique_id,
)
from gateway.fhir.document_reference import WriteContext, home_community_extension, logical_id
from gateway.fhir.document_reference_read import (
    ReadContext,
    contained_by_id,
    read_home_community,
)
from gateway.fhir.issues import Issue
from gateway.fhir.people import write_author, write_recipient
from gateway.fhir.people_read import PeopleReader
from gateway.fhir.terminology import Terminology
from gateway.model import codes
from gateway.model.dtm import is_dtm
from gateway.model.metadata import Author, Code, Folder, IntendedRecipient, SubmissionSet
from gateway.model.oids import bare_oid, is_oid

SUBMISSION_SET: Final = "submissionset"
FOLDER: Final = "folder"

_INSTANT: Final = len("2024-01-01T00:00:00Z")
"""Characters of a dateTime that is precise enough for meta.lastUpdated."""


def list_kind(resource: Json) -> str | None:
    """`submissionset` or `folder` as List.code says it; None for any other List."""
    for coding in (resource.get("code") or {}).get("coding") or ():
        if canonical(coding.get("system")) == codes.MHD_LIST_TYPES:
            kind = coding.get("code")
            return kind if kind in (SUBMISSION_SET, FOLDER) else None
    return None


def extensions(resource: Json, url: str) -> list[tuple[int, Json]]:
    """The extensions with this canonical URL, each with its position."""
    return [
        (number, extension)
        for number, extension in enumerate(resource.get("extension") or ())
        if canonical(extension.get("url")) == url
    ]


# --- writing --------------------------------------------------------------------------------------------
def write_submission_set_list(
    submission_set: SubmissionSet, members: Iterable[tuple[str, str]], context: WriteContext
) -> Json:
    """List of a SubmissionSet. `members` are resource type and id of what it brought."""
    terminology = context.terminology
    contained: list[Json] = []
    extension: list[Json] = []
    if submission_set.content_type is not None:
        extension.append(_designation_type(submission_set.content_type, terminology))
    source_id = submission_set.source_id
    extension.append(
        {
            "url": codes.EXT_SOURCE_ID,
            "valueIdentifier": {
                "system": codes.URI_SYSTEM,
                "value": f"urn:oid:{source_id}" if is_oid(source_id) else source_id,
            },
        }
    )
    for number, recipient in enumerate(submission_set.intended_recipients):
        for resource in write_recipient(recipient, f"recipient{number}", terminology):
            contained.append(resource)
            extension.append(
                {
                    "url": codes.EXT_INTENDED_RECIPIENT,
                    "valueReference": {"reference": f"#{resource['id']}"},
                }
            )
    source = _write_source(submission_set, context, contained)
    complete = (
        not submission_set.limited_metadata
        and submission_set.patient_id is not None
        and submission_set.content_type is not None
    )
    written = _write_common(
        submission_set,
        SUBMISSION_SET,
        codes.PROFILE_COMPREHENSIVE_SUBMISSION_SET if complete else codes.PROFILE_MINIMAL_SUBMISSION_SET,
        extension,
        context,
    )
    if contained:
        written["contained"] = contained
    if source:
        written["source"] = source
    return _finish(written, submission_set, members, context)


def write_folder_list(folder: Folder, members: Iterable[tuple[str, str]], context: WriteContext) -> Json:
    """List of a Folder. `members` are resource type and id of the documents in it."""
    complete = (
        not folder.limited_metadata
        and folder.patient_id is not None
        and bool(folder.code_list)
        and bool(folder.title)
    )
    written = _write_common(
        folder,
        FOLDER,
        codes.PROFILE_COMPREHENSIVE_FOLDER if complete else codes.PROFILE_MINIMAL_FOLDER,
        [_designation_type(code, context.terminology) for code in folder.code_list],
        context,
    )
    if folder.last_update_time and is_dtm(folder.last_update_time):
        # for If-Match of a later update
        written["meta"]["versionId"] = folder.last_update_time
    return _finish(written, folder, members, context)


def _write_common(
    item: SubmissionSet | Folder, kind: str, profile: str, extension: list[Json], context: WriteContext
) -> Json:
    named = item.home_community_id or context.own_home
    home = home_community_extension(named) if named else None
    if home:
        extension.append(home)
    elif named:
        _warn(item, context, "extension", "The homeCommunityId is no OID; it is left out.")
    written: Json = {
        "resourceType": "List",
        "id": logical_id(item.entry_uuid),
        "meta": {"profile": [profile]},
    }
    if extension:
        written["extension"] = extension
    written["identifier"] = [write_unique_id(item.unique_id), write_entry_uuid(item.entry_uuid)]
    written["status"] = "current"
    written["mode"] = "working"
    if item.title:
        written["title"] = item.title
    written["code"] = {"coding": [{"system": codes.MHD_LIST_TYPES, "code": kind}]}
    if item.patient_id is not None and item.patient_id.id:
        written["subject"] = context.patient_reference(item.patient_id)
    return written


def _finish(
    written: Json, item: SubmissionSet | Folder, members: Iterable[tuple[str, str]], context: WriteContext
) -> Json:
    if isinstance(item, SubmissionSet):
        name, time = "submissionTime", item.submission_time or None
    else:
        name, time = "lastUpdateTime", item.last_update_time
    date = write_date_time(time)
    if date:
        written["date"] = date
        if len(date) >= _INSTANT:
            written["meta"]["lastUpdated"] = date
    elif time:
        _warn(item, context, "date", f"The {name} names no time; it is left out.")
    if item.comments:
        written["note"] = [{"text": item.comments}]
    entries = [{"item": {"reference": f"{kind}/{name}"}} for kind, name in members]
    if entries:
        written["entry"] = entries
    return written


def _designation_type(code: Code, terminology: Terminology) -> Json:
    return {
        "url": codes.EXT_DESIGNATION_TYPE,
        "valueCodeableConcept": {"coding": [write_coding(code, terminology)]},
    }


def _write_source(submission_set: SubmissionSet, context: WriteContext, contained: list[Json]) -> Json:
    """The first author that is a person, and the first that is an institution only."""
    source: Json = {}
    left = 0
    for author in submission_set.authors:
        # a second institution would be a second PractitionerRole, for which there is no place
        left += max(0, len(author.institutions) - 1)
        single = replace(author, institutions=author.institutions[:1])
        is_institution = author.institutions and not (author.person or author.roles or author.specialties)
        if is_institution and "extension" not in source:
            written = write_author(single, "authorOrg", context.terminology)
            source["extension"] = [
                {"url": codes.EXT_AUTHOR_ORG, "valueReference": {"reference": f"#{written.ids[0]}"}}
            ]
        elif not is_institution and "reference" not in source:
            written = write_author(single, "author", context.terminology)
            if written.ids:
                source["reference"] = f"#{written.ids[0]}"
        else:
            left += 1
            continue
        contained.extend(written.resources)
    if left:
        text = "List.source has place for one person and one organization; further authors are left out."
        _warn(submission_set, context, "source", text)
    return source


def _warn(item: SubmissionSet | Folder, context: WriteContext, element: str, text: str) -> None:
    place = f"List.where(id='{logical_id(item.entry_uuid)}').{element}"
    context.warn(Issue("warning", "incomplete", text, place))


# --- reading --------------------------------------------------------------------------------------------
def read_submission_set_list(resource: Json, context: ReadContext, path: str) -> SubmissionSet:
    """SubmissionSet of a List that is valid FHIR R4; ids and sourceId are empty where it has none."""
    findings = context.findings
    people = PeopleReader(context.terminology, findings, contained_by_id(resource), path)
    designation = _read_designation_types(resource, context, path)
    subject = resource.get("subject")
    return SubmissionSet(
        entry_uuid=read_list_entry_uuid(resource, context, path) or "",
        unique_id=read_list_unique_id(resource, context, path) or "",
        source_id=_read_source_id(resource, context, path) or "",
        submission_time=read_date_time(resource.get("date"), findings, f"{path}.date") or "",
        patient_id=context.subject(subject, f"{path}.subject") if subject else None,
        content_type=designation[0] if designation else None,
        authors=_read_source(resource.get("source") or {}, people, f"{path}.source"),
        intended_recipients=_read_recipients(resource, people, path),
        title=resource.get("title"),
        comments=_read_note(resource),
        home_community_id=read_home_community(resource),
    )


def read_folder_list(resource: Json, context: ReadContext, path: str) -> Folder:
    """Folder of a List that is valid FHIR R4; ids are empty where it has none."""
    subject = resource.get("subject")
    return Folder(
        entry_uuid=read_list_entry_uuid(resource, context, path) or "",
        unique_id=read_list_unique_id(resource, context, path) or "",
        patient_id=context.subject(subject, f"{path}.subject") if subject else None,
        code_list=_read_designation_types(resource, context, path),
        last_update_time=read_date_time(resource.get("date"), context.findings, f"{path}.date"),
        title=resource.get("title"),
        comments=_read_note(resource),
        home_community_id=read_home_community(resource),
    )


def read_list_entry_uuid(resource: Json, context: ReadContext, path: str) -> str | None:
    """entryUUID of a List; None where the client leaves it to the recipient."""
    for number, identifier in enumerate(resource.get("identifier") or ()):
        if identifier_role(identifier) == "entryUUID":
            return read_entry_uuid(identifier, context.findings, f"{path}.identifier[{number}]")
    return None


def read_list_unique_id(resource: Json, context: ReadContext, path: str) -> str | None:
    """uniqueId of a List, an OID; None where the client leaves it to the recipient.

    IHE MHD requires an OID of SubmissionSets (mhd-startswithoid), XDS of Folders too.
    """
    for number, identifier in enumerate(resource.get("identifier") or ()):
        if identifier_role(identifier) != "uniqueId":
            continue
        place = f"{path}.identifier[{number}]"
        attempt = read_unique_id(identifier, context.terminology, context.findings, place)
        if attempt is not None and not is_oid(attempt):
            context.findings.error(
                f"{place}.value",
                "value",
                f"The uniqueId of a SubmissionSet or Folder has system {codes.URI_SYSTEM} and a value "
                "of urn:oid: and an OID (mhd-startswithoid).",
            )
            return None
        return attempt
    return None


def _read_source_id(resource: Json, context: ReadContext, path: str) -> str | None:
    for number, extension in extensions(resource, codes.EXT_SOURCE_ID):
        identifier = extension.get("valueIdentifier") or {}
        if identifier.get("system", codes.URI_SYSTEM) != codes.URI_SYSTEM:
            context.findings.error(
                f"{path}.extension[{number}].value.system",
                "value",
                f"The system of the sourceId is {codes.URI_SYSTEM}.",
            )
        value = identifier.get("value") or ""
        bare: str = bare_oid(value)
        if is_oid(bare):
            return bare
        context.findings.error(
            f"{path}.extension[{number}].value.value",
            "value",
            "The sourceId is an OID: urn:oid: and for example 2.999.1.",
        )
    return None


def _read_designation_types(resource: Json, context: ReadContext, path: str) -> tuple[Code, ...]:
    read = (
        read_code(
            extension.get("valueCodeableConcept"),
            context.terminology,
            context.findings,
            f"{path}.extension[{number}].value",
        )
        for number, extension in extensions(resource, codes.EXT_DESIGNATION_TYPE)
    )
    return tuple(code for code in read if code is not None)


def _read_source(source: Json, people: PeopleReader, path: str) -> tuple[Author, ...]:
    authors: list[Author] = []
    if any(source.get(element) for element in ("reference", "identifier", "display")):
        author = people.author(source, path)
        if author is not None:
            authors.append(author)
    for number, extension in extensions(source, codes.EXT_AUTHOR_ORG):
        reference = extension.get("valueReference")
        author = people.author(reference, f"{path}.extension[{number}].value") if reference else None
        if author is not None:
            authors.append(author)
    return tuple(authors)


def _read_recipients(resource: Json, people: PeopleReader, path: str) -> tuple[IntendedRecipient, ...]:
    recipients = []
    for number, extension in extensions(resource, codes.EXT_INTENDED_RECIPIENT):
        reference = extension.get("valueReference")
        place = f"{path}.extension[{number}].value"
        recipient = people.recipient(reference, place) if reference else None
        if recipient is not None:
            recipients.append(recipient)
    return tuple(recipients)


def _read_note(resource: Json) -> str | None:
    return "\n".join(note["text"] for note in resource.get("note") or () if note.get("text")) or None
