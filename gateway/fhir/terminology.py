"""Code systems and assigning authorities: FHIR URI on one side, OID on the other.

XDS names a coding scheme by OID (or by what the affinity domain says), FHIR by URI. The table comes from
the settings; `urn:oid:X` is X in both directions without an entry. An unknown value is an error that
names it, never a guess (spec: ITI TF-3 4.2.3.1, IHE MHD mapping of codes).
"""

from collections.abc import Iterable, Mapping

from gateway.model import imaging_codes as imaging
from gateway.model.oids import bare_oid, is_oid


class UnmappedError(ValueError):
    """A system URI or an authority that the settings do not map. `value` is it, `setting` where to add it."""

    def __init__(self, value: str, setting: str) -> None:
        super().__init__(f"{value} is not mapped to an OID; add it to {setting}")
        self.value = value
        self.setting = setting


def _oid_of_urn(value: str) -> str | None:
    bare = bare_oid(value)
    return bare if bare != value and is_oid(bare) else None


class OidMap:
    """A two-way table of URI and OID. Where several URIs share an OID, the first one is written."""

    def __init__(self, pairs: Mapping[str, str] | Iterable[tuple[str, str]], setting: str) -> None:
        items = list(pairs.items()) if isinstance(pairs, Mapping) else list(pairs)
        self._setting = setting
        self._to_oid: dict[str, str] = {}
        self._to_uri: dict[str, str] = {}
        for uri, oid in items:
            self._to_oid.setdefault(uri, oid)
            self._to_uri.setdefault(oid, uri)
        self._own = tuple(self._to_uri.items())

    def oid(self, uri: str) -> str:
        """OID (or affinity-domain scheme name) of a FHIR system URI. Raises UnmappedError."""
        found = self._to_oid.get(uri) or _oid_of_urn(uri)
        if found is None:
            raise UnmappedError(uri, self._setting)
        return found

    def oid_or_none(self, uri: str) -> str | None:
        """Like `oid`, None where it is not mapped."""
        return self._to_oid.get(uri) or _oid_of_urn(uri)

    def oids(self, uri: str) -> tuple[str, ...]:
        """Every OID that is written with the system of `uri`, `oid(uri)` first. Raises UnmappedError."""
        first = self.oid(uri)
        written = self.uri(first)
        return (first, *(oid for oid, other in self._own if other == written and oid != first))

    def uri(self, oid: str) -> str:
        """FHIR system URI of a scheme: from the table, else `urn:oid:`, else the scheme as it stands."""
        found = self._to_uri.get(oid)
        if found is None:
            bare = bare_oid(oid)
            found = self._to_uri.get(bare) or (f"urn:oid:{bare}" if is_oid(bare) else oid)
            # the field holds some thousand schemes at most, so this cache cannot grow without bound
            if len(self._to_uri) < 10_000:
                self._to_uri[oid] = found
        return found


DEFAULT_CODE_SYSTEMS: tuple[tuple[str, str], ...] = (
    ("http://loinc.org", "2.16.840.1.113883.6.1"),
    ("http://snomed.info/sct", "2.16.840.1.113883.6.96"),
    ("http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "2.16.840.1.113883.5.25"),
    ("http://terminology.hl7.org/CodeSystem/v3-ActCode", "2.16.840.1.113883.5.4"),
    ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "2.16.840.1.113883.5.8"),
    ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "2.16.840.1.113883.5.90"),
    ("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "2.16.840.1.113883.5.111"),
    ("http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode", "1.3.6.1.4.1.19376.1.2.3"),
    # the same code system of FHIR, which XDS names by another OID for the codes of MADO
    ("http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode", imaging.MADO_FORMAT_CODES),
    # XDS has no OID for it; the URI before the present one is read
    (imaging.EU_PRIORITY_CATEGORIES, imaging.EU_PRIORITY_CATEGORIES),
    (imaging.LEGACY_EU_PRIORITY_CATEGORIES, imaging.EU_PRIORITY_CATEGORIES),
    ("http://dicom.nema.org/resources/ontology/DCM", "1.2.840.10008.2.16.4"),
    ("http://dicom.nema.org/resources/ontology/DCMUID", "1.2.840.10008.2.6.1"),
    # as samples of IHE RAD MADO name it
    ("http://dicom.nema.org/resources/CodeSystem/DICOM_UIDs", "1.2.840.10008.2.6.1"),
    # codes that are URIs, such as the formats of reports
    ("urn:ietf:rfc:3986", "urn:ietf:rfc:3986"),
    ("http://unitsofmeasure.org", "2.16.840.1.113883.6.8"),
    ("http://hl7.org/fhir/sid/icd-10", "2.16.840.1.113883.6.3"),
    ("http://www.whocc.no/atc", "2.16.840.1.113883.6.73"),
    ("http://terminology.hl7.org/CodeSystem/practice-codes", "2.16.840.1.113883.6.303"),
    ("urn:iso:std:iso:3166", "1.0.3166.1"),
    ("urn:ietf:bcp:47", "2.16.840.1.113883.6.316"),
)


class Terminology:
    """The two tables that the mapping needs: coding schemes and assigning authorities."""

    def __init__(
        self,
        code_systems: Mapping[str, str] | None = None,
        assigning_authorities: Mapping[str, str] | None = None,
    ) -> None:
        self.code_systems = OidMap(
            [*(code_systems or {}).items(), *DEFAULT_CODE_SYSTEMS], "terminology.code_systems"
        )
        self.authorities = OidMap(assigning_authorities or {}, "terminology.assigning_authorities")
