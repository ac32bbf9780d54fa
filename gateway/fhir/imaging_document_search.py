"""Find Document References (ITI-67) with the parameters of imaging: those of IHE RAD MADO 0.1.0 and of HL7
Europe Imaging Report 1.0.0-ballot, in each spelling, together with all of IHE MHD.

Modality and region are asked of eventCodeList under both names of their coding schemes, study and numbers of
referenceIdList. Entries of older sources have neither: `queries_of_manifests` finds them, `needs_manifest`
says which of them have to be read, and what their manifests say is compared once it is filled in
(`gateway.fhir.manifest_metadata.filled`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from dataclasses import replace as with_fields
from typing import Final

from msgspec.structs import replace

from gateway.fhir.document_search import DOCUMENTS, DocumentSearch, DocumentSearchParser
from gateway.fhir.found_study import with_synonyms
from gateway.fhir.imaging_documents import (
    MODALITY,
    REGION,
    modality_codes,
    needs_manifest,
    shown_categories,
    twin_uuid,
)
from gateway.fhir.matching import (
    CodeToken,
    Criterion,
    HasCode,
    HasDisplay,
    HasIdentifier,
    IdentifierToken,
    IsMissing,
    IsRelated,
    RelatedToken,
    folded,
)
from gateway.fhir.search_dates import Limits
from gateway.fhir.search_parameters import DOCUMENT_PARAMETERS
from gateway.fhir.search_queries import Asked, find_documents, get_documents
from gateway.fhir.search_request import SearchContext
from gateway.fhir.search_table import CODED, Kind, ParameterTable, SearchParameter
from gateway.fhir.search_tokens import read_code, read_identifier, read_related, related_patterns
from gateway.fhir.search_values import SearchProblem, read_token, unescape
from gateway.fhir.study_search import MANIFEST_FORMATS
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.metadata import AvailabilityStatus, Code, Cx, DocumentEntry
from gateway.model.oids import bare_oid
from gateway.model.query import FindDocuments, GetDocuments, StoredQuery

_RELATED: Final = "DocumentReference.context.related.identifier"
_ROWS: Final = (
    SearchParameter(
        "modality",
        Kind.TOKEN,
        f"DocumentReference.extension('{imaging.EXT_DOCUMENT_MODALITY}').value",
        imaging.EU_SEARCH_PARAMETER + "SearchParameterDocumentReferenceModality",
        "Modality of the study or of one of its series, for example CT.",
        modifiers=CODED,
    ),
    SearchParameter(
        "bodysite",
        Kind.TOKEN,
        f"DocumentReference.extension('{imaging.EXT_DOCUMENT_BODY_SITE}').extension('concept').value",
        imaging.EU_SEARCH_PARAMETER + "SearchParameterDocumentReferenceBodySite",
        "Anatomical region of the study; the codes that guides give the spine are one.",
        modifiers=CODED,
        aliases=("anatomical-region",),
    ),
    SearchParameter(
        "study-instance-uid",
        Kind.TOKEN,
        _RELATED,
        imaging.MADO_SEARCH_PARAMETER + "SearchParameterDocumentReferenceStudyInstanceUid",
        "Study Instance UID with or without urn:oid:. Needs the patient unless the study is known.",
    ),
    SearchParameter(
        "accession-number",
        Kind.TOKEN,
        _RELATED,
        imaging.MADO_SEARCH_PARAMETER + "SearchParameterDocumentReferenceAccessionNumber",
        "Accession number with its issuer, or the number alone. Needs the patient unless the study is known.",
    ),
    SearchParameter(
        "contenttype",
        Kind.TOKEN,
        "DocumentReference.content.attachment.contentType",
        codes.FHIR_SEARCH_PARAMETER + "DocumentReference-contenttype",
        "MIME type of the document, compared by the gateway.",
        modifiers=frozenset({"not", "missing"}),
    ),
)
IMAGING_DOCUMENT_PARAMETERS: Final = ParameterTable("DocumentReference", (*DOCUMENT_PARAMETERS.rows, *_ROWS))
_IMAGING_DOCUMENTS: Final = with_fields(DOCUMENTS, table=IMAGING_DOCUMENT_PARAMETERS)
_WANTED: Final = {
    "modality": frozenset({MODALITY}),
    "bodysite": frozenset({REGION}),
    "study-instance-uid": frozenset({codes.REFERENCE_STUDY}),
    "accession-number": frozenset({codes.REFERENCE_ACCESSION}),
    # an entry that names its study has the other numbers too
    "related": frozenset({codes.REFERENCE_STUDY}),
    "identifier": frozenset({codes.REFERENCE_STUDY}),
}
"""What an entry has to say to be compared with a parameter."""
_SPLITTING: Final = (
    "creation_time_from",
    "creation_time_to",
    "author_person",
    "class_code",
    "confidentiality",
    "facility_type",
    "practice_setting",
)
"""Parts of a query by which the formats of one manifest may differ; they share type, study and its times."""
_SHOWN_CATEGORIES: Final = frozenset(
    {imaging.MEDICAL_IMAGING, imaging.LOINC_IMAGING_STUDY, imaging.LOINC_IMAGING_REPORT}
)
_KINDS: Final = {
    "study-instance-uid": codes.REFERENCE_STUDY,
    "accession-number": codes.REFERENCE_ACCESSION,
}


@dataclass(frozen=True, slots=True)
class ImagingDocumentSearch(DocumentSearch):
    """A search, and what it has to know of manifests whose entries do not say it.

    `queries_of_manifests` find every manifest of the patient, whatever its entry says of modality, region,
    study and numbers; they are empty where the other queries miss none. With `reserve` they are asked only
    where no document itself has the identifier. `query_of_related` finds what is related to an `identifier`.
    `told_by_manifests` is true where manifests alone still answer the search, for a registry that cannot find
    documents by reference id. `named` is what its identifiers name documents by, `targets` the
    communities that are asked for them.
    """

    queries_of_manifests: tuple[StoredQuery, ...] = ()
    asked: frozenset[str] = frozenset()
    reserve: bool = False
    query_of_related: StoredQuery | None = None
    told_by_manifests: bool = False
    named: tuple[IdentifierToken, ...] = ()
    targets: tuple[str, ...] = ()

    def query_of_originals(self, found: Iterable[DocumentEntry]) -> GetDocuments | None:
        """Asks for what identifiers of nothing `found` are translations of; None where none can be."""
        held = tuple(found)
        unfound = (t for t in self.named if not any(t.fits(entry) for entry in held))
        uuids = tuple(dict.fromkeys(twin_uuid(t.entry_uuid) for t in unfound if t.entry_uuid))
        return GetDocuments(entry_uuids=uuids, target_communities=self.targets) if uuids else None

    @property
    def splits_pairs(self) -> bool:
        """True where the registry may give one format of a manifest that is registered in both."""
        found = [query for query in self.stored_queries if isinstance(query, FindDocuments)]
        return not found or any(getattr(query, name) for query in found for name in _SPLITTING)

    def has_to_read(self, entry: DocumentEntry) -> bool:
        """True where only the manifest tells whether the entry matches."""
        return needs_manifest(entry, self.asked)


def parse_imaging_document_search(
    params: Sequence[tuple[str, str]], ctx: SearchContext, *, strict: bool = False
) -> ImagingDocumentSearch:
    """Understand the decoded parameters of URL and form; see `parse_document_search`.

    Raises OutcomeError 400 with every problem.
    """
    parser = _ImagingParser(_IMAGING_DOCUMENTS, ctx, strict=strict)
    for name, value in params:
        parser.add(name, value)
    search = parser.finish()
    related = () if parser.query_of_related is None else (parser.query_of_related,)
    return ImagingDocumentSearch(
        **{each.name: getattr(search, each.name) for each in fields(search)},
        queries_of_manifests=parser.addressed(parser.queries_of_manifests),
        asked=parser.wanted,
        reserve=parser.reserve,
        query_of_related=next(iter(parser.addressed(related)), None),
        told_by_manifests=parser.told_by_manifests,
        named=parser.named,
        targets=parser.targets,
    )


@dataclass(frozen=True, slots=True)
class IsOfType:
    """MIME type of the document, without its parameters and letter case."""

    types: frozenset[str]
    negated: bool = False

    def matches(self, entry: DocumentEntry) -> bool:
        """True where the type is as asked."""
        return (_media_type(entry.mime_type) in self.types) is not self.negated


@dataclass(frozen=True, slots=True)
class IsRelatedAs:
    """A value of referenceIdList of one type."""

    kind: str
    tokens: tuple[RelatedToken, ...]

    def matches(self, entry: DocumentEntry) -> bool:
        """True where one of the values is asked for."""
        return any(
            token.fits(reference)
            for reference in entry.reference_ids
            if reference.type == self.kind
            for token in self.tokens
        )


@dataclass(frozen=True, slots=True)
class IsEither:
    """One of two criteria is met."""

    one: Criterion[DocumentEntry]
    other: Criterion[DocumentEntry]

    def matches(self, entry: DocumentEntry) -> bool:
        """True where either is met."""
        return self.one.matches(entry) or self.other.matches(entry)


class _ImagingParser(DocumentSearchParser):
    queries_of_manifests: tuple[StoredQuery, ...] = ()
    query_of_related: StoredQuery | None = None
    wanted: frozenset[str] = frozenset()
    _named: frozenset[str] = frozenset()
    _related_ids: tuple[str, ...] | None = None

    @property
    def reserve(self) -> bool:
        """An identifier, which mostly is one of a document."""
        return self._named == {"identifier"} and len(self.named) == 1 and not self._ids["_id"]

    @property
    def named(self) -> tuple[IdentifierToken, ...]:
        """What identifiers name documents by."""
        return tuple(token for tokens in self._ids["identifier"] for token in tokens)

    @property
    def told_by_manifests(self) -> bool:
        """Study and accession numbers are in manifests."""
        return bool(self._named & _KINDS.keys()) and "related" not in self._named

    def _read(self, parameter: SearchParameter, modifier: str | None, values: list[str]) -> None:
        name = parameter.name
        self.wanted |= _WANTED.get(name, frozenset())
        self._named |= _WANTED.keys() & {name}
        if name in ("modality", "bodysite"):
            self._read_events(name, modifier, values)
        elif name in _KINDS:
            tokens = tuple(read_related(value, name, self._ctx.terminology) for value in values)
            self._criteria.append(IsRelatedAs(_KINDS[name], tokens))
            self._ask(tokens)
        elif name == "contenttype":
            self._read_types(modifier, values)
        elif name == "identifier":
            self._read_identifiers(values)
        elif name == "category" and modifier in (None, "not"):
            self._read_categories(values, negated=modifier == "not")
        else:
            super()._read(parameter, modifier, values)
            if name == "format" and modifier is None:
                self._ask_both_formats()

    def _read_categories(self, values: list[str], *, negated: bool) -> None:
        """classCode, and of imaging documents what is shown beside it, which no registry knows."""
        asked = [read_code(value, "category", self._ctx.terminology) for value in values]
        tokens = tuple(one.token for one in asked)
        self._criteria.append(HasCode(shown_categories, tokens, negated=negated))
        pushed = [one.pushed for one in asked]
        is_shown = any(token.code in _SHOWN_CATEGORIES for token in tokens)
        if not negated and not is_shown and None not in pushed:
            self._asked.codes["category"].append(tuple(c for group in pushed if group for c in group))

    def _ask_both_formats(self) -> None:
        """A manifest of either format is offered in the other too, so either is asked for."""
        formats = self._asked.codes["format"]
        if formats and {code.code for code in formats[-1]} & {form.code for form in MANIFEST_FORMATS}:
            formats[-1] = tuple(dict.fromkeys((*formats[-1], *MANIFEST_FORMATS)))

    def _ask(self, tokens: tuple[RelatedToken, ...]) -> None:
        patterns = related_patterns(tokens)
        if patterns is not None:
            self._asked.references.append(patterns)

    def _read_events(self, name: str, modifier: str | None, values: list[str]) -> None:
        read, own = (modality_codes, imaging.DCM) if name == "modality" else (_regions, imaging.SNOMED)
        if modifier == "missing":
            if values not in (["true"], ["false"]):
                raise SearchProblem("value", f"{name}:missing takes true or false.")
            self._criteria.append(IsMissing(lambda entry: bool(read(entry)), values == ["true"]))
            return
        if modifier == "text":
            self._criteria.append(HasDisplay(read, tuple(folded(unescape(v)) for v in values)))
            return
        tokens, asked = self._event_tokens(name, own, values)
        self._criteria.append(HasCode(read, tokens, negated=modifier == "not"))
        if modifier is None and asked:
            self._asked.codes["event"].append(asked)

    def _event_tokens(
        self, name: str, own: str, values: list[str]
    ) -> tuple[tuple[CodeToken, ...], tuple[Code, ...]]:
        """Tokens to filter by and codes to ask for; none where a value is a scheme alone or another one."""
        table = self._ctx.terminology.code_systems
        tokens: list[CodeToken] = []
        asked: list[Code] = []
        complete = True
        for value in values:
            token = read_token(value)
            scheme = own if token.system is None else table.oid_or_none(token.system) or token.system
            scheme = imaging.DESIGNATORS.get(scheme, bare_oid(scheme))
            names = imaging.SPELLINGS.get(scheme, (scheme,))
            tokens.append(CodeToken(token.code, frozenset(names)))
            known = imaging.SPINE if name == "bodysite" and token.code in imaging.SPINE else {token.code}
            complete = complete and bool(token.code and scheme)
            asked.extend(Code(code, spelling) for code in sorted(filter(None, known)) for spelling in names)
        return tuple(tokens), tuple(dict.fromkeys(asked)) if complete else ()

    def _read_types(self, modifier: str | None, values: list[str]) -> None:
        if modifier == "missing":
            if values not in (["true"], ["false"]):
                raise SearchProblem("value", "contenttype:missing takes true or false.")
            self._criteria.append(IsMissing(lambda entry: bool(entry.mime_type), values == ["true"]))
            return
        types = frozenset(_media_type(read_token(value).code or "") for value in values)
        self._criteria.append(IsOfType(types, negated=modifier == "not"))

    def _read_identifiers(self, values: list[str]) -> None:
        """uniqueId or entryUUID, and in searches of a patient also study UID, accession and other numbers."""
        terminology = self._ctx.terminology
        named = tuple(read_identifier(value, "identifier", terminology) for value in values)
        related = tuple(read_related(value, "identifier", terminology) for value in values)
        self._criteria.append(IsEither(HasIdentifier(named), IsRelated(related)))
        self._ids["identifier"].append(named)
        patterns = related_patterns(related)
        # of identifiers that all have to be there, those that the documents are asked by
        if self._related_ids is None and patterns is not None and get_documents([named]) is not None:
            self._related_ids = patterns

    def _stored_queries(self) -> tuple[StoredQuery, ...]:
        queries = super()._stored_queries()
        known = frozenset().union(*self._patients)
        if self._errors or self._impossible or len(known) != 1 or self._statuses == frozenset():
            return queries
        (patient,) = known
        statuses = self._statuses or frozenset(AvailabilityStatus)
        by_id = not any(isinstance(query, FindDocuments) for query in queries)
        if self.wanted and (by_id or self._asked.codes["event"] or self._asked.references):
            self.queries_of_manifests = self._queries_of_all_manifests(patient, statuses)
        if by_id and self._ids["_id"]:
            self.queries_of_manifests = ()
        elif self._related_ids is not None and by_id:
            asked = Asked(references=[self._related_ids])
            self.query_of_related = find_documents(patient, statuses, asked, self._no_limits())
        return queries

    def _no_limits(self) -> dict[str, Limits]:
        return dict.fromkeys(self._elements.intervals, Limits())

    def _queries_of_all_manifests(
        self, patient: Cx, statuses: frozenset[AvailabilityStatus]
    ) -> tuple[StoredQuery, ...]:
        query = find_documents(patient, statuses, Asked(), self._no_limits())
        assert isinstance(query, FindDocuments)
        return (replace(query, format_code=MANIFEST_FORMATS),)


def _regions(entry: DocumentEntry) -> tuple[Code, ...]:
    """Codes of SNOMED CT among the event codes, the spine under each of its codes."""
    held = [code for code in entry.event_codes if code.scheme in imaging.SPELLINGS[imaging.SNOMED]]
    return with_synonyms(held)


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()
