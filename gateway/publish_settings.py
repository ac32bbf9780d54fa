"""Settings of what is published (ITI-65, ITI-105, ITI-106): section `publish`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gateway.setting_types import Oid, Section, ZoneName


class CodeSettings(Section):
    """One code. `system` is a FHIR URI that `terminology` maps, or an OID."""

    system: Annotated[str, Field(min_length=1)]
    code: Annotated[str, Field(min_length=1)]
    display: str | None = None


class DocumentDefaultsSettings(Section):
    """What holds for a document that does not say it itself (ITI-105, ITI-106)."""

    class_code: CodeSettings | None = None
    type_code: CodeSettings | None = None
    format_code: CodeSettings | None = None
    facility_type: CodeSettings | None = None
    practice_setting: CodeSettings | None = None
    confidentiality: CodeSettings | None = None
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")] | None = None


class InstitutionSettings(Section):
    """The organization that a source belongs to."""

    name: Annotated[str, Field(min_length=1)]
    oid: Oid | None = None


class SourceSettings(Section):
    """A client whose SubmissionSets are made here."""

    source_id: Oid
    """Its sourceId, an OID that no other source has."""
    institution: InstitutionSettings | None = None
    """Author of its SubmissionSets beside the authors of the document."""
    defaults: DocumentDefaultsSettings = DocumentDefaultsSettings()
    """Before those of `publish.defaults`."""


class ReportsSettings(Section):
    """Imaging reports of HL7 Europe that are published (ITI-65, ITI-105, ITI-106)."""

    check: Literal["strict", "flag", "off"] = "flag"
    """A report that breaks the guide is refused with everything that it breaks (`strict`), or stored with
    warnings (`flag`); `off` looks neither at the guide nor at what contradicts the report."""


class PublishSettings(Section):
    """Submissions whose SubmissionSet is made here (ITI-105, ITI-106)."""

    source_id: Oid | None = None
    """sourceId of clients that are not known; by default one that follows from the base URL. A client that
    is known and not in `sources` has one that follows from this and its name."""
    client_header: Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")] | None = None
    """Header in which a front proxy names the client. The proxy has to take it out of what clients send."""
    sources: dict[str, SourceSettings] = Field(default_factory=dict)
    """By the name of the client."""
    defaults: DocumentDefaultsSettings = DocumentDefaultsSettings()
    class_codes: dict[str, CodeSettings] = Field(default_factory=dict)
    """Class of a document by its type, which is written `system|code`."""
    format_codes: dict[str, CodeSettings] = Field(default_factory=dict)
    """Format of a document by its CDA template (`root` or `root:extension`, `;media type` behind it for an
    embedded file) or FHIR profile (canonical URL), in front of the built-in table."""
    not_taken: Literal["refuse", "leave_out"] = "refuse"
    """Folders and relations that the repository does not take make the publish fail (`refuse`), or are left
    out with a warning (`leave_out`)."""
    recipients: tuple[str, ...] = ()
    """intendedRecipients that are notified: `authority|id`, an e-mail address or the name of an
    organization."""
    unknown_recipient: Literal["silent", "warn", "refuse"] = "silent"
    """What becomes of a publish for a recipient that `recipients` does not have."""
    older_clients: bool = False
    """True: clients from before MHD 4.2.4 say with Identifier.use what an identifier is; a warning tells
    them so."""
    accession_authorities: tuple[Oid, ...] = ()
    """Authorities whose ids in inFulfillmentOf of CDA are accession numbers; others are order numbers."""
    time_zone: ZoneName = "UTC"
    """Zone of times in CDA that have no offset, for example Europe/Vienna."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        ids = [source.source_id for source in self.sources.values()]
        ids += [self.source_id] if self.source_id else []
        if len(set(ids)) != len(ids):
            raise ValueError("each source has a source_id of its own")
        if self.sources and self.client_header is None:
            raise ValueError("sources need client_header, which says who a client is")
        if any("|" not in key for key in self.class_codes):
            raise ValueError("a key of class_codes is system|code")
        return self
