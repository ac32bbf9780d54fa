"""Who a patient of another domain is in the own affinity domain, and what is known of them there: asked of
the patient manager by PIXm (ITI-83) and PDQm (ITI-78), and remembered in Redis.

Nobody and several are told apart from one: several patients are never taken for one (IHE PIXm 3.1.0, IHE PDQm
3.2.0; ITI TF-2 3.45).
"""

import asyncio
from collections.abc import Collection, Iterable
from typing import Final

from gateway.clients.patient_manager import CROSS_REFERENCE, PatientManager
from gateway.correlation.managed_patients import ManagedPatientStore
from gateway.fhir.patient_manager import ManagedPatient, has_identifier, said_of
from gateway.fhir.search_values import write_token
from gateway.fhir.terminology import Terminology
from gateway.model import Cx
from gateway.model.errors import PeerProtocolError
from gateway.model.identity import CrossReferenceStatus, PatientQuery, SourceIdentifier
from gateway.model.oids import is_oid

_MOST_READ: Final = 5
"""Patients of one cross-reference that are read to learn their identifiers."""
_REFERENCE: Final = "Patient/"


class DomainPatients:
    """The patients of the own domain, as the manager knows them."""

    def __init__(
        self,
        manager: PatientManager,
        store: ManagedPatientStore,
        terminology: Terminology,
        domain: str,
        further: Iterable[str] = (),
    ) -> None:
        """`domain` is the assigning authority (OID) of the affinity domain; identifiers of the `further` ones
        are taken as they are besides."""
        self.manager = manager
        self.domain = domain
        self._store = store
        self._terminology = terminology
        self._native = frozenset((domain, *further))
        self._asking: dict[Cx, asyncio.Task[PatientQuery]] = {}

    def authority(self, system: str) -> str | None:
        """OID of the system of an identifier; None where the settings have none for it."""
        return system if is_oid(system) else self._terminology.authorities.oid_or_none(system)

    def uri(self, authority: str) -> str:
        """What the manager calls a domain."""
        return self._terminology.authorities.uri(authority)

    @property
    def native(self) -> frozenset[str]:
        """Authorities whose identifiers are taken as they are."""
        return self._native

    def is_native(self, source: SourceIdentifier) -> bool:
        """True for an identifier of the own domain, about which nobody has to be asked."""
        return self.authority(source.system) in self._native

    def source_of(self, reference: str) -> SourceIdentifier | None:
        """What the manager can be asked of an absolute reference to a Patient of any server; None for another
        reference. The server is never asked."""
        base, slash, logical_id = reference.partition("/_history/")[0].rpartition(f"/{_REFERENCE}")
        if not slash or "://" not in base or not logical_id or "/" in logical_id:
            return None
        known = self.manager.logical_id(reference)
        return SourceIdentifier(self.manager.url if known else base, f"{_REFERENCE}{logical_id}")

    async def resolve(self, source: SourceIdentifier) -> tuple[Cx, ...]:
        """The identifiers of the domain that somebody has: none, one, or those of several patients.

        Raises PeerError where it cannot be found out.
        """
        if self.is_native(source):
            return (Cx(source.value, self.authority(source.system) or self.domain),)
        return await self._known_as(source, self.domain)

    async def named(self, source: SourceIdentifier) -> tuple[Cx, ...]:
        """The same, where a reference may stand as value without system."""
        meant = source if source.system else self.source_of(source.value)
        return () if meant is None else await self.resolve(meant)

    async def in_domains(self, patient: Cx, authorities: Collection[str]) -> tuple[Cx, ...]:
        """The identifier of a patient of the own domain in one of several domains; several where one of them
        has several for him. None where it is not known, raises PeerError where it cannot be found out."""
        source = SourceIdentifier(self.uri(patient.authority), patient.id)
        found: tuple[Cx, ...] = ()
        for authority in sorted(authorities):
            known = await self._known_as(source, authority, ours=False)
            if len(known) > 1:
                return known
            found = found or known
        return found

    async def said(self, patient: Cx) -> PatientQuery:
        """Names, birth, sex and addresses of a patient of the own domain; empty where the manager does not
        have exactly one, or does not speak PDQm. Raises PeerError where it cannot be found out."""
        if not self.manager.rules.demographics:
            return PatientQuery()
        held = await self._store.said(patient)
        if held is not None:
            return held
        # every community that is asked at once asks here
        task = self._asking.get(patient)
        if task is None:
            task = self._asking[patient] = asyncio.create_task(self._ask(patient))
            task.add_done_callback(lambda done: self._forget(patient, done))
        return await asyncio.shield(task)

    def _forget(self, patient: Cx, task: asyncio.Task[PatientQuery]) -> None:
        self._asking.pop(patient, None)
        if not task.cancelled():
            task.exception()  # who waited for it was told

    async def _ask(self, patient: Cx) -> PatientQuery:
        found = await self.holders(SourceIdentifier(self.uri(patient.authority), patient.id))
        said = said_of(found[0]) if len(found) == 1 else PatientQuery()
        await self._store.remember_said(patient, said)
        return said

    # --- what the manager says ----------------------------------------------------------------------------
    async def _known_as(self, source: SourceIdentifier, domain: str, *, ours: bool = True) -> tuple[Cx, ...]:
        held = await self._store.known_as(source, domain)
        if held is not None:
            return held
        if self.manager.rules.cross_references:
            found = await self._cross_referenced(source, domain, ours=ours)
        else:
            found = _in(domain, await self.holders(source))
        await self._store.remember(source, domain, found)
        return found

    async def _cross_referenced(self, source: SourceIdentifier, domain: str, *, ours: bool) -> tuple[Cx, ...]:
        answer = await self.manager.cross_reference(source, [domain])
        if answer.status is CrossReferenceStatus.UNKNOWN_TARGET and ours:
            text = f"it does not know the affinity domain {domain} (patient_manager.domain)"
            raise PeerProtocolError(self.manager.name, CROSS_REFERENCE, text)
        if answer.identifiers or not answer.patients or not self.manager.rules.demographics:
            return answer.identifiers
        # a manager may name Patients alone, which have the identifiers
        read: list[ManagedPatient] = []
        for reference in answer.patients[:_MOST_READ]:
            logical_id = self.manager.logical_id(reference) or reference.removeprefix(_REFERENCE)
            patient = await self.manager.read(logical_id)
            survivor = await self.manager.surviving(patient) if patient is not None else None
            if survivor is not None:
                read.append(survivor)
        return _in(domain, read)

    async def holders(self, source: SourceIdentifier) -> list[ManagedPatient]:
        """The active patients with an identifier, by PDQm. Raises PeerError."""
        if source.system == self.manager.url and source.value.startswith(_REFERENCE):
            named = await self.manager.read(source.value.removeprefix(_REFERENCE))
            found = [] if named is None else [named]
        else:
            authority = self.authority(source.system)
            patient = Cx(source.value, authority) if authority else None
            parameters = [("identifier", write_token(source.system, source.value))]
            answer = await self.manager.search(parameters, patient=patient)
            # a server that does not know the parameter answers with everybody
            found = [each for each in answer.patients if has_identifier(each, source, self._terminology)]
        survivors = [await self.manager.surviving(each) for each in found]
        return list({each.logical_id: each for each in survivors if each is not None}.values())


def _in(domain: str, patients: Iterable[ManagedPatient]) -> tuple[Cx, ...]:
    listed = (cx for each in patients for cx in each.identifiers if cx.authority == domain)
    return tuple(dict.fromkeys(listed))
