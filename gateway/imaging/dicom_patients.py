"""Whom a DICOM search is about: Patient ID and its issuer -> the identifier of the affinity domain.

DICOM says the issuer as a namespace (0010,0021), as an OID in (0010,0024), or leaves it to the archive, which
has one for patients without; XDS has an OID always.
"""

import re
from dataclasses import dataclass

from gateway.fhir.issues import OutcomeError, fail
from gateway.fhir.terminology import Terminology
from gateway.model import Cx
from gateway.model.oids import bare_oid, is_oid

_CX = re.compile(r"([^^&|]+)\^\^\^(?:[^^&]*&([^^&]+)&ISO|([^^&]+))(?:\^.*)?")


@dataclass(frozen=True, slots=True)
class PatientKey:
    """What a search says of the patient; `universal_id` is that of the issuer."""

    id: str
    issuer: str | None = None
    universal_id: str | None = None


@dataclass(frozen=True, slots=True)
class DicomPatients:
    """Resolves patients. `default_authority` is the OID of those without issuer."""

    terminology: Terminology
    default_authority: str | None = None

    def resolve(self, key: PatientKey) -> Cx:
        """The patient, from `PatientID` with the OID, URI or HL7 v2 HD of its issuer, from a CX
        (`id^^^&oid&ISO`), or from a FHIR token (`system|value`). Raises OutcomeError 400.
        """
        number, issuers = key.id, [key.universal_id, key.issuer]
        if cx := _CX.fullmatch(key.id):
            number = cx[1]
            issuers.append(cx[2] or cx[3])
        elif "|" in key.id:
            system, _, number = key.id.rpartition("|")
            issuers.append(system)
        if not number or re.search(r"[*?\\^&]", number):
            raise _refused("PatientID must name one patient: no wildcards and no lists.")
        known = {self._authority(issuer) for issuer in issuers if issuer}
        if len(known) > 1:
            raise _refused("PatientID and its issuer attributes name different issuers.")
        authority = known.pop() if known else self.default_authority
        if authority is None:
            raise _refused(
                "PatientID needs its issuer: add IssuerOfPatientID with an OID or a URI of "
                "terminology.assigning_authorities, or "
                "IssuerOfPatientIDQualifiersSequence.UniversalEntityID with an OID. An operator can set the "
                "issuer of others by imaging.patient_id_authority."
            )
        return Cx(number, authority)

    def _authority(self, issuer: str) -> str:
        parts = issuer.split("&")
        text = bare_oid(parts[1] if len(parts) == 3 and parts[2] == "ISO" else issuer)
        oid = text if is_oid(text) else self.terminology.authorities.oid_or_none(text)
        if oid is None:
            raise _refused(
                "The issuer of PatientID is neither an OID nor a URI of terminology.assigning_authorities."
            )
        return oid


def _refused(text: str) -> OutcomeError:
    return fail(400, "value", text, expression="PatientID")
