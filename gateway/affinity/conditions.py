"""Conditions of stored queries as SQL (ITI TF-2 3.18.4.1.2.3).

Values always travel as parameters. A list is one JSON parameter, so its length has no bound of its own.
"""

from collections.abc import Iterable, Sequence

import orjson

from gateway.affinity.objects import EntryAttribute, code_key, instant_key, patient_key
from gateway.model import AvailabilityStatus, Code, Cx
from gateway.model.codes import STABLE_DOCUMENT
from gateway.model.query import FindDocuments, FindDocumentsByReferenceId, FindFolders, FindSubmissionSets


class Conditions:
    """A conjunction that grows; `text` goes after WHERE."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self.parameters: list[str | int] = []

    @property
    def text(self) -> str:
        """The SQL; true where nothing was asked for."""
        return " AND ".join(self._parts) or "TRUE"

    def add(self, sql: str, *parameters: str | int) -> None:
        """One more condition."""
        self._parts.append(sql)
        self.parameters.extend(parameters)

    def one_of(self, column: str, values: Iterable[str]) -> None:
        """The column is one of `values`."""
        self.add(f"{column} IN (SELECT value FROM json_each(?))", json_list(values))  # noqa: S608

    def patient_and_status(self, patient: Cx, status: Sequence[AvailabilityStatus]) -> None:
        """What every patient query starts with."""
        self.add("patient = ?", patient_key(patient))
        approved = {int(s is AvailabilityStatus.APPROVED) for s in status}
        self.add(f"approved IN ({', '.join(map(str, sorted(approved)))})")

    def coded(self, column: str, wanted: Sequence[Code]) -> None:
        """One of `wanted`, where any is."""
        if wanted:
            self.one_of(column, map(code_key, wanted))

    def since(self, column: str, limit: str | None) -> None:
        """From: at or after the first instant of `limit`; an object without the time is not excluded."""
        if limit is not None:
            self.add(f"({column} IS NULL OR {column} >= ?)", instant_key(limit))

    def before(self, column: str, limit: str | None) -> None:
        """To: before the first instant of `limit`; an object without the time is not excluded."""
        if limit is not None:
            self.add(f"({column} IS NULL OR {column} < ?)", instant_key(limit))

    def has_value(self, table: str, values: Iterable[str], restriction: str = "") -> None:
        """The object has one of `values` in a table of multi-valued attributes."""
        self.add(
            # table and restriction are literals of this module
            f"EXISTS (SELECT 1 FROM {table} v WHERE v.seq = o.seq{restriction}"  # noqa: S608
            " AND v.value IN (SELECT value FROM json_each(?)))",
            json_list(values),
        )

    def has_like(self, table: str, patterns: Sequence[str], restriction: str = "") -> None:
        """The object has a value that is LIKE one of `patterns`."""
        self.add(
            f"EXISTS (SELECT 1 FROM {table} v JOIN json_each(?) p WHERE v.seq = o.seq{restriction}"  # noqa: S608
            " AND v.value GLOB p.value)",
            json_list(map(like_as_glob, patterns)),
        )


def json_list(values: Iterable[str]) -> str:
    """The parameter of json_each."""
    return orjson.dumps(list(values)).decode()


_GLOB = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})


def like_as_glob(pattern: str) -> str:
    """A LIKE pattern as GLOB, which SQLite matches with regard to letter case, as SQL-92 does."""
    return pattern.translate(_GLOB)


def _of(attribute: EntryAttribute) -> str:
    return f" AND v.attribute = {attribute.value}"


def content_conditions(
    conditions: Conditions,
    format_code: Sequence[Code],
    confidentiality: Sequence[Sequence[Code]],
    document_type: Sequence[str],
) -> None:
    """The limits that all queries with DocumentEntries in their answer share."""
    conditions.coded("format_code", format_code)
    for group in confidentiality:
        conditions.has_value("entry_value", map(code_key, group), _of(EntryAttribute.CONFIDENTIALITY))
    conditions.one_of("object_type", document_type or (STABLE_DOCUMENT,))


def find_documents(query: FindDocuments) -> Conditions:
    """FindDocuments and FindDocumentsByReferenceId.

    creationTime limits do not apply to On-Demand entries, which have no creationTime.
    """
    conditions = Conditions()
    conditions.patient_and_status(query.patient_id, query.status)
    content_conditions(conditions, query.format_code, query.confidentiality, query.document_type)
    conditions.coded("class_code", query.class_code)
    conditions.coded("type_code", query.type_code)
    conditions.coded("practice_setting", query.practice_setting)
    conditions.coded("facility_type", query.facility_type)
    for group in query.event_codes:
        conditions.has_value("entry_value", map(code_key, group), _of(EntryAttribute.EVENT_CODE))
    if query.author_person:
        conditions.has_like("entry_value", query.author_person, _of(EntryAttribute.AUTHOR_PERSON))
    conditions.since("creation_time", query.creation_time_from)
    conditions.before("creation_time", query.creation_time_to)
    conditions.since("service_start_time", query.service_start_time_from)
    conditions.before("service_start_time", query.service_start_time_to)
    conditions.since("service_stop_time", query.service_stop_time_from)
    conditions.before("service_stop_time", query.service_stop_time_to)
    if isinstance(query, FindDocumentsByReferenceId):
        for patterns in query.reference_ids:
            conditions.has_like("entry_value", patterns, _of(EntryAttribute.REFERENCE_ID))
    return conditions


def find_submission_sets(query: FindSubmissionSets) -> Conditions:
    """FindSubmissionSets."""
    conditions = Conditions()
    conditions.patient_and_status(query.patient_id, query.status)
    if query.source_id:
        conditions.one_of("source_id", query.source_id)
    conditions.since("submission_time", query.submission_time_from)
    conditions.before("submission_time", query.submission_time_to)
    conditions.coded("content_type", query.content_type)
    if query.author_person is not None:
        conditions.has_like("submission_set_author", (query.author_person,))
    return conditions


def find_folders(query: FindFolders) -> Conditions:
    """FindFolders."""
    conditions = Conditions()
    conditions.patient_and_status(query.patient_id, query.status)
    conditions.since("last_update_time", query.last_update_time_from)
    conditions.before("last_update_time", query.last_update_time_to)
    for group in query.code_list:
        conditions.has_value("folder_code", map(code_key, group))
    return conditions
