"""What the recipient behind can take of a Provide Document Bundle, and what becomes of the rest
(IHE MHD 4.2.4 3.65.4.1.3: Folders and relations that are not supported, intended recipients).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from gateway.fhir.datatypes import Json, identifier_role
from gateway.fhir.findings import Findings
from gateway.fhir.provide_bundle_entries import BundleIndex, EntryKind
from gateway.model import codes
from gateway.model.metadata import IntendedRecipient

Unknown = Literal["silent", "warn", "refuse"]
ReportCheck = Literal["strict", "flag", "off"]

_PARTIAL: Final[Mapping[str, str]] = {
    "folders": "PartialFolderContentNotProcessed",
    "replaces": "PartialReplaceContentNotProcessed",
    "transforms": "PartialTransformContentNotProcessed",
    "appends": "PartialAppendContentNotProcessed",
    "signs": "PartialRelationshipContentNotProcessed",
}
_OLDER_ROLES: Final = {"usual": "uniqueId", "official": "entryUUID"}


@dataclass(frozen=True, slots=True)
class PublishPolicy:
    """`limited_metadata` says that the recipient takes objects without what XDS requires (XDR and XDM).

    `cannot` are the things that it does not take: `folders` and codes of relatesTo; with `leave_out` they
    are left out with a warning, otherwise they are refused. `known_recipients` are identifiers
    (`authority|id`), e-mail addresses and names of organizations that can be notified; `unknown_recipients`
    says what becomes of others. With `older_clients` Identifier.use tells the role of an identifier without
    type, as before MHD 4.2.4. `reports` says what becomes of an imaging report that breaks its guide: it is
    refused (`strict`), stored with warnings (`flag`) or not looked at (`off`).
    """

    limited_metadata: bool = False
    cannot: frozenset[str] = frozenset()
    leave_out: bool = False
    known_recipients: frozenset[str] = frozenset()
    unknown_recipients: Unknown = "silent"
    older_clients: bool = False
    reports: ReportCheck = "flag"

    def takes(self, part: str) -> bool:
        """True for `folders` or a code of relatesTo that the recipient takes."""
        return part not in self.cannot

    def report(self, part: str, path: str, findings: Findings) -> None:
        """Say that the recipient does not take a part of the Bundle."""
        name = "Folders" if part == "folders" else f"relations with the code {part}"
        text = f"The recipient behind this server does not take {name}"
        if self.leave_out:
            findings.warn(path, "incomplete", f"{text}; the documents are stored without.", _PARTIAL[part])
        else:
            findings.error(path, "not-supported", f"{text}; leave them out.", _PARTIAL[part])

    def check_recipients(
        self, recipients: Iterable[tuple[str, IntendedRecipient]], findings: Findings
    ) -> None:
        """Report recipients, each with its FHIRPath, that nobody here can notify."""
        if self.unknown_recipients == "silent":
            return
        for path, recipient in recipients:
            if self.known_recipients.isdisjoint(_names(recipient)):
                text = "This recipient is not known here and is not notified."
                if self.unknown_recipients == "warn":
                    findings.warn(path, "not-found", text, "UnknownRecipient")
                else:
                    findings.error(path, "not-found", text, "UnknownRecipient")


def _names(recipient: IntendedRecipient) -> set[str]:
    names: set[str] = set()
    for party in (recipient.person, recipient.organization):
        if party is not None and party.id:
            names.add(f"{party.authority}|{party.id}" if party.authority else party.id)
    if recipient.organization is not None and recipient.organization.name:
        names.add(recipient.organization.name)
    if recipient.telecom is not None:
        names.add(recipient.telecom.value.lower())
    return names


def mend_identifiers(index: BundleIndex, findings: Findings) -> None:
    """Give identifiers of clients from before MHD 4.2.4 the type that says their role."""
    for entry in index.of(EntryKind.DOCUMENT, EntryKind.SUBMISSION_SET, EntryKind.FOLDER):
        master = entry.resource.get("masterIdentifier")
        if master is not None and identifier_role(master) is None:
            _mend(master, "uniqueId", f"{entry.resource_path}.masterIdentifier", findings)
        identifiers = [i for i in entry.resource.get("identifier") or () if isinstance(i, dict)]
        held = {identifier_role(identifier) for identifier in identifiers}
        for number, identifier in enumerate(identifiers):
            role = _OLDER_ROLES.get(identifier.get("use") or "")
            is_urn = identifier.get("system") == codes.URI_SYSTEM
            if role and is_urn and "type" not in identifier and role not in held:
                held.add(role)
                _mend(identifier, role, f"{entry.resource_path}.identifier[{number}]", findings)


def _mend(identifier: Json, role: str, path: str, findings: Findings) -> None:
    coding = {"system": codes.MHD_IDENTIFIER_TYPE, "code": role}
    kind = identifier.setdefault("type", {})
    kind["coding"] = [*kind.get("coding", ()), coding]
    findings.warn(f"{path}.type", "required", f"Taken as {role}; since MHD 4.2.4 only type says so.")
