"""Who a patient is in another community.

An identifier that both know is passed through; where the patient manager of the own domain cross-references
one of an authority that the community knows (PIXm ITI-83), that one is. For others the community is asked
(XCPD ITI-55), by what the manager knows of the patient besides (PDQm ITI-78), and what it says is kept for as
long as it allows (CorrelationTimeToLive). Several matches are several patients: they are never taken for one
(ITI TF-2 3.55).
"""

from collections.abc import Iterable
from typing import Protocol

import structlog
from msgspec import structs

from gateway.clients.patient_discovery import PatientDiscovery
from gateway.correlation.patients import PatientStore
from gateway.crossborder.communities import Member
from gateway.crossborder.domain_patients import DomainPatients
from gateway.model import Cx
from gateway.model.errors import PeerError, PeerProtocolError
from gateway.model.identity import Discovery, DiscoveryStatus, PatientQuery, SourceIdentifier
from gateway.security.access import bound_patient

_TRANSACTION = "ITI-55"

log = structlog.get_logger()


class PatientIdentities(Protocol):
    """Finds identifiers of a patient."""

    async def there(self, patient: Cx, member: Member) -> tuple[Cx, ...]:
        """The identifiers by which a community knows a patient: none, one, or those of several patients.

        Raises PeerError where it cannot be found out.
        """

    async def here(self, there: Cx, member: Member, told: Iterable[Cx] | None = None) -> Cx:
        """The own identifier of a patient of a community, and the community's where there is none.

        Raises PeerError where it cannot be found out.
        """

    async def is_also(self, patient: Cx, there: Cx, member: Member) -> None:
        """Take note of another identifier that a community has for a patient."""


class SharedOrDiscovered:
    """Identifiers that are shared, else those that the community answers."""

    def __init__(
        self,
        store: PatientStore,
        patients: DomainPatients | None = None,
        *,
        unasked: bool = False,
        domains: Iterable[str] = (),
    ) -> None:
        """`patients` is what the manager knows, None where there is none. With `unasked`, answers that do not
        say how long they may be kept are kept too. `domains` are the own assigning authorities (OIDs)."""
        self._store = store
        self._domains = frozenset(domains)
        self._patients = patients
        self._unasked = unasked

    async def there(self, patient: Cx, member: Member) -> tuple[Cx, ...]:
        """See `PatientIdentities`."""
        if patient.authority in member.authorities:
            return (patient,)
        if member.discovery is None and (self._patients is None or not member.authorities):
            return (patient,)
        known = await self._store.there(member.home, patient)
        if known is not None:
            return known
        shared, away = await self._shared(patient, member)
        if shared:
            if len(shared) == 1:
                await self.is_also(patient, shared[0], member)
            return shared
        if member.discovery is None:
            return (patient,)
        return await self._discovered(patient, member, member.discovery, away)

    async def _shared(self, patient: Cx, member: Member) -> tuple[tuple[Cx, ...], PeerError | None]:
        """What the manager cross-references, which it remembers itself; the error of one that is away, where
        the community can be asked instead."""
        if self._patients is None or not member.authorities:
            return (), None
        try:
            return await self._patients.in_domains(patient, member.authorities), None
        except PeerError as error:
            if member.discovery is None:
                raise
            log.warning("identities.manager_failed", error=type(error).__name__)
            return (), error

    async def _discovered(
        self, patient: Cx, member: Member, asked: PatientDiscovery, away: PeerError | None
    ) -> tuple[Cx, ...]:
        query = PatientQuery(identifiers=(patient,))
        if self._patients is not None:
            try:
                query = structs.replace(await self._patients.said(patient), identifiers=(patient,))
            except PeerError as error:
                log.warning("identities.manager_failed", error=type(error).__name__)
                away = error
        discovery = await asked.discover(query)
        found = _identifiers(discovery, member)
        if not found and away is not None:
            # by name and birth the community might know him
            raise away
        seconds = discovery.time_to_live
        if seconds is None and not self._unasked:
            seconds = 0.0
        await self._store.remember(member.home, patient, found, seconds)
        return found

    async def here(self, there: Cx, member: Member, told: Iterable[Cx] | None = None) -> Cx:
        """See `PatientIdentities`."""
        known = await self._store.here(member.home, there)
        if known is not None and known != there:
            return known
        own = None if known == there else await self._looked_up(there, member, told)
        if own is not None:
            await self._store.remember_alias(member.home, own, there)
            return own
        bound = bound_patient()
        # who may see one patient only is told whether it is that one, also where nothing is remembered
        if bound is not None and bound != there and await self.there(bound, member) == (there,):
            return bound
        return there

    async def _looked_up(self, there: Cx, member: Member, told: Iterable[Cx] | None) -> Cx | None:
        """The own identifier as the manager knows it, else as the community says it. That nobody does is
        remembered where both could be asked."""
        certain = True
        try:
            own = await self._own(there)
        except PeerError as error:
            log.warning("identities.manager_failed", error=type(error).__name__)
            own, certain = None, False
        return own or await self._own_of_community(there, member, told, certain=certain)

    async def _own_of_community(
        self, there: Cx, member: Member, told: Iterable[Cx] | None, *, certain: bool
    ) -> Cx | None:
        """The one identifier in the own domains that the community has for its patient, and for no other.
        That there is none is remembered where it is `certain`."""
        if member.discovery is None or not self._domains or there.authority in self._domains:
            return None
        try:
            if told is None:
                found = await member.discovery.discover(PatientQuery(identifiers=(there,)))
                told = [
                    cx
                    for match in found.matches
                    if match.identifier == there
                    for cx in match.other_identifiers
                ]
            own = {cx for cx in told if cx.authority in self._domains}
            if len(own) == 1 and await self.there(one := own.pop(), member) == (there,):
                return one
        except PeerError as error:
            # who is asked about is shown under the identifier that is known
            log.warning("identities.community_failed", community=member.name, error=type(error).__name__)
            return None
        if certain:
            await self._store.remember_stranger(member.home, there)
        return None

    async def _own(self, there: Cx) -> Cx | None:
        """The one identifier in the own domain that the manager cross-references; None where it does not.
        Raises PeerError."""
        if self._patients is None:
            return None
        source = SourceIdentifier(self._patients.uri(there.authority), there.id)
        found = await self._patients.resolve(source)
        return found[0] if len(found) == 1 and found[0] != there else None

    async def is_also(self, patient: Cx, there: Cx, member: Member) -> None:
        """See `PatientIdentities`."""
        if patient != there and await self._store.here(member.home, there) != patient:
            await self._store.remember_alias(member.home, patient, there)


def _identifiers(discovery: Discovery, member: Member) -> tuple[Cx, ...]:
    if discovery.status is DiscoveryStatus.NO_MATCH:
        return ()
    if discovery.status is not DiscoveryStatus.MATCHES:
        said = ": ".join((discovery.status, ", ".join(discovery.codes)))
        raise PeerProtocolError(
            member.name, _TRANSACTION, f"it does not say whether it knows the patient ({said})"
        )
    return tuple(dict.fromkeys(match.identifier for match in discovery.matches))
