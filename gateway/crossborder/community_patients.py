"""Patients of other communities as they are found by demographics or by identifier (ITI-55 as Initiating
Gateway; ITI TF-2 3.55). Each match is a patient of its own.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from gateway.crossborder.communities import Communities, Member
from gateway.crossborder.deadlines import seconds_left
from gateway.crossborder.identities import PatientIdentities
from gateway.fhir.issues import Issue
from gateway.model import Cx
from gateway.model.errors import PeerError, PeerProtocolError, PeerTimeout
from gateway.model.identity import Discovery, DiscoveryStatus, PatientMatch, PatientQuery
from gateway.security.access import bound_patient

_TRANSACTION: Final = "ITI-55"
_WANTED: Final = {
    "LivingSubjectAdministrativeGenderRequested": "gender",
    "PatientAddressRequested": "address",
    "PatientTelecomRequested": "telecom",
    "LivingSubjectBirthPlaceNameRequested": "the place of birth",
    "LivingSubjectBirthPlaceAddressRequested": "the place of birth",
    "MothersMaidenNameRequested": "mothersMaidenName",
}
"""What a community asks for besides, by its codes (ITI TF-2 3.55.4.2.2.6)."""


class FoundPatient(Struct, frozen=True):
    """A patient of a community; `home` is the first homeCommunityId of it."""

    home: str
    match: PatientMatch


class FoundPatients(Struct, frozen=True):
    """Patients, and warnings about communities that did not say. `failures` are those that cannot say now."""

    patients: tuple[FoundPatient, ...] = ()
    issues: tuple[Issue, ...] = ()
    failures: tuple[PeerError, ...] = ()


class CommunityPatients:
    """Asks communities for patients."""

    def __init__(self, communities: Communities, identities: PatientIdentities) -> None:
        self._communities = communities
        self._identities = identities

    def homes(self) -> tuple[str, ...]:
        """The homeCommunityId of each community, the own one left out."""
        return tuple(member.home for member in self._communities.members)

    async def find(self, query: PatientQuery, homes: Iterable[str]) -> FoundPatients:
        """The patients whom a query means, in all of these communities at once."""
        named = [self._communities.of_home(home) for home in homes]
        members = list(dict.fromkeys(member for member in named if member is not None))
        parts = await asyncio.gather(*(self._of_member(query, member) for member in members))
        return FoundPatients(
            tuple(patient for part in parts for patient in part.patients),
            tuple(issue for part in parts for issue in part.issues),
            tuple(failure for part in parts for failure in part.failures),
        )

    async def known_as(self, patient: Cx, home: str) -> PatientMatch | None:
        """The patient of a community by their identifier there; None where there is none, or not one alone.

        Raises PeerError.
        """
        member = self._communities.of_home(home)
        if member is None or member.discovery is None:
            return None
        found = await self._ask(PatientQuery(identifiers=(patient,)), member)
        if found.status not in (DiscoveryStatus.MATCHES, DiscoveryStatus.NO_MATCH):
            said = ", ".join(found.codes)
            raise PeerProtocolError(member.name, _TRANSACTION, f"it does not say who the patient is ({said})")
        same = [match for match in found.matches if match.identifier == patient]
        return same[0] if len(same) == 1 else None

    async def here(self, patient: Cx, home: str, told: Iterable[Cx] | None = None) -> Cx:
        """Who a patient of a community is in the own domain, where that is known; else as they are there.

        `told` are other identifiers that the community has just said; it is asked without them.

        Raises PeerError where it cannot be found out.
        """
        member = self._communities.of_home(home)
        return patient if member is None else await self._identities.here(patient, member, told)

    async def _of_member(self, query: PatientQuery, member: Member) -> FoundPatients:
        if member.discovery is None:
            text = f"{member.label} was not asked: it has no patients_url in the settings."
            return _unasked(text, "not-supported")
        if not query.sufficient:
            text = (
                f"{member.label} was not asked: ITI-55 needs an identifier, or a family or given name and "
                "the day of birth."
            )
            return _unasked(text, "incomplete")
        try:
            found = await self._ask(query, member)
            visible = await self._visible(found.matches, member)
        except PeerError as error:
            how = "gave no answer in time" if isinstance(error, PeerTimeout) else "gives no usable answer"
            text = f"{member.label} {how} ({_TRANSACTION}); its patients are missing here."
            return FoundPatients((), (Issue("warning", "transient", text),), (error,))
        patients = tuple(FoundPatient(member.home, match) for match in visible)
        return FoundPatients(patients, tuple(_told(found, member)))

    async def _ask(self, query: PatientQuery, member: Member) -> Discovery:
        assert member.discovery is not None
        seconds = seconds_left(member.deadline)
        try:
            async with asyncio.timeout(seconds):
                return await member.discovery.discover(query)
        except TimeoutError:
            raise PeerTimeout(member.name, _TRANSACTION, f"no answer within {seconds:.1f} s") from None

    async def _visible(self, matches: Sequence[PatientMatch], member: Member) -> list[PatientMatch]:
        """Those that may be seen by who is bound to one patient of this domain."""
        bound = bound_patient()
        if bound is None:
            return list(matches)
        kept = []
        for match in matches:
            if await self._identities.here(match.identifier, member, match.other_identifiers) == bound:
                kept.append(match)
        return kept


def _unasked(text: str, code: str) -> FoundPatients:
    return FoundPatients((), (Issue("warning", code, text),))


def _told(found: Discovery, member: Member) -> Iterable[Issue]:
    """What a community says besides patients."""
    if found.status is DiscoveryStatus.MORE_ASKED:
        wanted = ", ".join(dict.fromkeys(_WANTED.get(code, code) for code in found.codes))
        yield Issue("warning", "incomplete", f"{member.label} wants to be told more: {wanted}.")
    elif found.status is not DiscoveryStatus.MATCHES and found.status is not DiscoveryStatus.NO_MATCH:
        said = f" ({', '.join(found.codes)})" if found.codes else ""
        text = f"{member.label} does not say whom it knows{said}; its patients are missing here."
        yield Issue("warning", "transient", text)
