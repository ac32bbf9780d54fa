"""A document as text for an operator. Patient data is shown where it is asked for, and nowhere else."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.admin.attributes import shown_code
from gateway.admin.documents import Document
from gateway.model import Author, DocumentEntry
from gateway.model.codes import DOCUMENT_RELATIONS, HAS_MEMBER


def where(url: str) -> str:
    """A URL without the user that may stand in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def described(document: Document, *, show_patient_data: bool) -> Iterator[str]:
    """Lines: ids, versions, attributes of the current one, what holds it and what is related to it."""
    entry = document.current
    yield f"document   {document.logical_id}"
    for each in document.versions:
        marks = ", current" if each is entry else ""
        yield f"version    {each.version or '1'}: {each.entry_uuid} {each.status.name.lower()}{marks}"
    yield f"uniqueId   {entry.unique_id} in repository {entry.repository_unique_id or '(not named)'}"
    kind = "on demand" if entry.on_demand else f"{entry.size if entry.size is not None else '?'} bytes"
    yield f"content    {entry.mime_type}, {kind}"
    yield f"class      {shown_code(entry.class_code)}"
    yield f"type       {shown_code(entry.type_code)}"
    yield f"access     {', '.join(map(shown_code, entry.confidentiality)) or '(none)'}"
    if show_patient_data:
        yield from _about_the_patient(entry)
    for uuid in sorted(document.submission_sets):
        yield f"held by    submission set {uuid}"
    own = document.uuids
    for association in document.associations:
        status = association.status.name.lower()
        if association.type == HAS_MEMBER and association.source in document.folders:
            yield f"held by    folder {association.source} ({status})"
        elif association.type in DOCUMENT_RELATIONS:
            other = association.target if association.source in own else association.source
            arrow = "->" if association.source in own else "<-"
            yield f"relation   {association.type.rpartition(':')[2]} {arrow} {other} ({status})"
    for uuid in document.copies:
        yield f"copy       {uuid} has the same uniqueId"


def _about_the_patient(entry: DocumentEntry) -> Iterator[str]:
    patient = entry.patient_id
    yield f"patient    {f'{patient.id} of {patient.authority}' if patient else '(none)'}"
    yield f"title      {entry.title or '(none)'}"
    yield f"comments   {entry.comments or '(none)'}"
    for author in entry.authors:
        yield f"author     {_name(author)}"


def _name(author: Author) -> str:
    person = author.person
    names = (person.given, person.family) if person else ()
    said = " ".join(name for name in names if name)
    return said or ", ".join(i.name for i in author.institutions if i.name) or "(no name)"
