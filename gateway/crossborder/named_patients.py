"""Searches that name the patient as another domain does: by an identifier of it, or by a reference to a
Patient of the patient manager or of another server (IHE MHD 4.2.4, mapping of `patient` and
`patient.identifier`).

They are made with the identifier of the affinity domain, which the manager says. Where nobody or several
patients are meant, nothing is searched, and the answer says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from gateway.crossborder.communities import Communities
from gateway.crossborder.domain_patients import DomainPatients
from gateway.fhir.issues import Issue
from gateway.fhir.search_request import SearchContext
from gateway.fhir.search_values import alternatives, read_token, unescape, write_token
from gateway.fhir.terminology import Terminology
from gateway.model import Cx
from gateway.model.identity import SourceIdentifier
from gateway.security.access import OtherPatient, bound_patient

_REFERENCES: Final = frozenset({"patient", "subject", "patient:Patient", "subject:Patient"})
_IDENTIFIERS: Final = frozenset(
    f"{name}{how}"
    for name in ("patient", "subject")
    for how in (".identifier", ":identifier", ":Patient.identifier")
)
_MOST_ASKED: Final = 20
"""Values of one search that the manager is asked about."""

Parameters = Sequence[tuple[str, str]]


class NamedPatients(Protocol):
    """Finds out who is meant by what a search names."""

    async def known(self, parameters: Parameters, context: SearchContext) -> tuple[Parameters, SearchContext]:
        """The parameters in terms of the affinity domain, and the context to read them in.

        Raises PeerError where it cannot be found out, and OtherPatient.
        """


class AsNamed:
    """Where there is no manager: everybody is meant by the identifier that is given."""

    async def known(self, parameters: Parameters, context: SearchContext) -> tuple[Parameters, SearchContext]:
        """See `NamedPatients`."""
        return parameters, context


AS_NAMED: Final = AsNamed()


@dataclass(slots=True)
class _Asked:
    """What has become of the values of one parameter."""

    patients: list[Cx] = field(default_factory=list)
    is_changed: bool = False
    issues: list[Issue] = field(default_factory=list)
    as_sent: bool = False


class ResolvedPatients:
    """As the manager says."""

    def __init__(
        self,
        patients: DomainPatients,
        communities: Communities,
        terminology: Terminology,
        reference_of: Callable[[Cx], dict[str, object]],
    ) -> None:
        """`reference_of` writes the Reference of a patient of the domain."""
        self._patients = patients
        self._communities = communities
        self._terminology = terminology
        self._reference_of = reference_of

    async def known(self, parameters: Parameters, context: SearchContext) -> tuple[Parameters, SearchContext]:
        """See `NamedPatients`."""
        named: list[tuple[str, str]] = []
        unresolved: list[Issue] = []
        for name, value in parameters:
            asked = await self._asked(name, value, context)
            if asked.issues and not asked.as_sent:
                if bound_patient() is not None:
                    # whether there is such a patient is not told to who may not see him
                    raise OtherPatient
                unresolved += asked.issues
            changed = asked.is_changed and not asked.as_sent and not asked.issues
            named.append(self._written(name, asked.patients) if changed else (name, value))
        if unresolved:
            context = replace(context, nobody=tuple(dict.fromkeys(unresolved)))
        return named, context

    async def one(self, patient: Cx) -> tuple[Cx | None, Issue | None]:
        """The patient of the domain who has an identifier; where there is not exactly one, why.

        Raises PeerError where it cannot be found out, and OtherPatient.
        """
        asked = _Asked()
        uri = self._terminology.authorities.uri(patient.authority)
        await self._resolve("PatientID", SourceIdentifier(uri, patient.id), asked)
        if not asked.issues or asked.as_sent:
            return (patient if asked.as_sent else asked.patients[0]), None
        if bound_patient() is not None:
            raise OtherPatient
        return None, asked.issues[0]

    async def _asked(self, name: str, value: str, context: SearchContext) -> _Asked:
        asked = _Asked()
        if name not in _REFERENCES and name not in _IDENTIFIERS:
            return asked
        listed = alternatives(value)
        if len(listed) > _MOST_ASKED:
            return asked
        for each in listed:
            if name in _REFERENCES:
                await self._refer(name, unescape(each.strip()), context, asked)
            else:
                token = read_token(each)
                if token.system and token.code:
                    await self._resolve(name, SourceIdentifier(token.system, token.code), asked)
                else:
                    # the search says what is wrong with it
                    asked.as_sent = True
        return asked

    async def _refer(self, name: str, reference: str, context: SearchContext, asked: _Asked) -> None:
        own = context.patient_of(reference) if "|" not in reference else None
        source = self._patients.source_of(reference) if own is None else None
        if own is not None:
            asked.patients.append(own)
        elif source is not None and not reference.startswith(f"{context.base_url}/"):
            await self._resolve(name, source, asked)

    async def _resolve(self, name: str, source: SourceIdentifier, asked: _Asked) -> None:
        found = await self._patients.resolve(source)
        if len(found) == 1:
            asked.patients.append(found[0])
            asked.is_changed = asked.is_changed or not self._patients.is_native(source)
        elif not found and self._is_shared(source):
            # communities know him by it, though nobody here has documents of him
            asked.as_sent = True
        else:
            asked.issues.append(_several(name) if found else _nobody(name))

    def _is_shared(self, source: SourceIdentifier) -> bool:
        authority = self._patients.authority(source.system)
        return authority is not None and any(
            authority in member.authorities for member in self._communities.members
        )

    def _written(self, name: str, patients: Sequence[Cx]) -> tuple[str, str]:
        unique = dict.fromkeys(patients)
        if name in _REFERENCES:
            references = [self._reference_of(patient).get("reference") for patient in unique]
            if None not in references:
                return name, ",".join(map(str, references))
            name = f"{name.partition(':')[0]}.identifier"
        uri = self._terminology.authorities.uri
        return name, ",".join(write_token(uri(each.authority), each.id) for each in unique)


def _nobody(name: str) -> Issue:
    text = f"{name}: the patient manager knows nobody of this domain by it, so that nothing was searched."
    return Issue("warning", "not-found", text)


def _several(name: str) -> Issue:
    text = (
        f"{name}: the patient manager knows several patients of this domain by it. They are not taken for "
        "one, so that nothing was searched. Search by the identifier of the affinity domain."
    )
    return Issue("warning", "multiple-matches", text)
