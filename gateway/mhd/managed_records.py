"""Patients as a server of patients has them (ITI-78 as Patient Demographics Consumer), under the ids of this
server: those of the patient manager, or of the MHD server that is the own domain.

A Patient that another one took the place of refers to that one (`link`), or is left out where it is not known
by an identifier.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from gateway.clients.patient_manager import PatientManager
from gateway.fhir.datatypes import Json, write_cx
from gateway.fhir.issues import Issue
from gateway.fhir.patient_manager import ManagedPatient
from gateway.fhir.search_values import alternatives, read_token, write_token
from gateway.fhir.terminology import Terminology
from gateway.model import Cx
from gateway.security.access import bound_patient

_LEFT_OUT: Final = frozenset({"id", "identifier", "link", "meta", "text", "contained"})
_SHOWN_META: Final = ("lastUpdated",)
_NAMELESS: Final = Issue(
    "warning",
    "incomplete",
    "The patient manager knows somebody without an identifier of a domain that the settings know "
    "(terminology.assigning_authorities), who was left out.",
)
_AMBIGUOUS: Final = Issue(
    "warning",
    "multiple-matches",
    "The patient manager knows several patients by one identifier; none of them is shown.",
)


class ManagedRecords:
    """Asks the server."""

    def __init__(
        self,
        manager: PatientManager,
        terminology: Terminology,
        id_of: Callable[[Cx], str | None],
        domains: Iterable[str] = (),
    ) -> None:
        """`id_of` gives the id of the Patient that stands for an identifier; it is taken of the first of the
        `domains` (OIDs) that the patient has one in, else of any."""
        self._manager = manager
        self._terminology = terminology
        self._id_of = id_of
        self._domains = tuple(domains)

    async def found(
        self, searches: Iterable[Sequence[tuple[str, str]]]
    ) -> tuple[Mapping[Cx, Json], tuple[Issue, ...]]:
        """Those of searches by parameters of ITI-78, by identifier. Raises PeerError."""
        asked = [parameters for search in searches if (parameters := _asked(search))]
        answers = await asyncio.gather(*(self._manager.search(parameters) for parameters in asked))
        issues = {_more(self._manager.name): None for answer in answers if not answer.complete}
        patients = {each.logical_id: each for answer in answers for each in answer.patients}
        named: dict[Cx, list[ManagedPatient]] = {}
        for patient in patients.values():
            identifier = self._identifier(patient)
            if identifier is None:
                issues[_NAMELESS] = None
            else:
                named.setdefault(identifier, []).append(patient)
        written: dict[Cx, Json] = {}
        for identifier, several in named.items():
            meant = _meant(several)
            if meant is None:
                issues[_AMBIGUOUS] = None
                continue
            resource = await self._written(meant, identifier)
            if resource is not None:
                written[identifier] = resource
        return written, tuple(issues)

    async def known_as(self, patients: Sequence[Cx]) -> Mapping[Cx, Json]:
        """Those who have one of these identifiers. Raises PeerError."""
        if not patients:
            return {}
        uri = self._terminology.authorities.uri
        tokens = ",".join(write_token(uri(each.authority), each.id) for each in patients)
        about = patients[0] if len(patients) == 1 else None
        answer = await self._manager.search([("identifier", tokens)], patient=about)
        found: dict[Cx, Json] = {}
        for wanted in patients:
            meant = _meant([each for each in answer.patients if wanted in each.identifiers])
            resource = None if meant is None else await self._written(meant, wanted)
            if resource is not None:
                found[wanted] = resource
        return found

    def _identifier(self, patient: ManagedPatient) -> Cx | None:
        """The identifier that the Patient stands for here; above all that of a token that is bound to it."""
        bound = bound_patient()
        if bound is not None and bound in patient.identifiers:
            return bound
        preferred = [cx for domain in self._domains for cx in patient.identifiers if cx.authority == domain]
        listed = (*preferred, *patient.identifiers)
        return next((cx for cx in listed if self._id_of(cx) is not None), None)

    async def _written(self, patient: ManagedPatient, identifier: Cx) -> Json | None:
        """The Patient under the id of this server; None where nothing says who took its place."""
        logical_id = self._id_of(identifier)
        if logical_id is None:
            return None
        said = patient.resource
        own = write_cx(identifier, self._terminology)
        others = [i for i in said.get("identifier", ()) if i.get("system") and i.get("value")]
        made: Json = {
            "resourceType": "Patient",
            "id": logical_id,
            "identifier": [own, *(each for each in others if self._cx(each) != identifier)],
            **{name: value for name, value in said.items() if name not in _LEFT_OUT | {"resourceType"}},
            "active": patient.active,
        }
        meta = {name: value for name, value in said.get("meta", {}).items() if name in _SHOWN_META}
        if meta:
            made["meta"] = meta
        if patient.replaced_by is not None:
            link = await self._link(patient)
            if link is None:
                return None
            made["link"] = [link]
        return made

    async def _link(self, patient: ManagedPatient) -> Json | None:
        survivor = await self._manager.surviving(patient)
        identifier = None if survivor is None else self._identifier(survivor)
        logical_id = None if identifier is None else self._id_of(identifier)
        if logical_id is None:
            return None
        return {"other": {"reference": f"Patient/{logical_id}"}, "type": "replaced-by"}

    def _cx(self, identifier: Json) -> Cx:
        authority = self._terminology.authorities.oid_or_none(str(identifier["system"]))
        return Cx(str(identifier["value"]), authority or "")


def _meant(named: Sequence[ManagedPatient]) -> ManagedPatient | None:
    """The one who has an identifier; None where several do. Who was merged may carry the number of who took
    their place."""
    active = [each for each in named if each.active] or named
    return active[0] if len(active) == 1 else None


def _asked(search: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the server is asked for. Which domains are wanted is done here, since it would leave out the
    identifiers by which the patient is known here."""
    return [pair for pair in search if not _names_domains(*pair)] or list(search)


def _names_domains(name: str, value: str) -> bool:
    tokens = [read_token(text) for text in alternatives(value)] if name == "identifier" else []
    return bool(tokens) and all(token.system and token.code is None for token in tokens)


def _more(name: str) -> Issue:
    text = f"{name} knows more patients than it was asked to list (max_results). Say more of the patient."
    return Issue("warning", "too-costly", text)
