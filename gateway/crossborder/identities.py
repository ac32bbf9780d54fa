"""Who a patient is in another community.

An identifier that both know is passed through; for others the community is asked (XCPD ITI-55), and what it
says is kept for as long as it allows (CorrelationTimeToLive). Several matches are several patients: they are
never taken for one (ITI TF-2 3.55).
"""

from typing import Protocol

from gateway.correlation.patients import PatientStore
from gateway.crossborder.communities import Member
from gateway.model import Cx
from gateway.model.errors import PeerProtocolError
from gateway.model.identity import Discovery, DiscoveryStatus, PatientQuery
from gateway.security.access import bound_patient

_TRANSACTION = "ITI-55"


class PatientIdentities(Protocol):
    """Finds identifiers of a patient."""

    async def there(self, patient: Cx, member: Member) -> tuple[Cx, ...]:
        """The identifiers by which a community knows a patient: none, one, or those of several patients.

        Raises PeerError where it cannot be found out.
        """

    async def here(self, there: Cx, member: Member) -> Cx:
        """The own identifier of a patient of a community, and the community's where there is none.

        Raises PeerError where it cannot be found out.
        """

    async def is_also(self, patient: Cx, there: Cx, member: Member) -> None:
        """Take note of another identifier that a community has for a patient."""


class SharedOrDiscovered:
    """Identifiers that are shared, else those that the community answers."""

    def __init__(self, store: PatientStore, *, unasked: bool = False) -> None:
        """With `unasked`, answers that do not say how long they may be kept are kept too."""
        self._store = store
        self._unasked = unasked

    async def there(self, patient: Cx, member: Member) -> tuple[Cx, ...]:
        """See `PatientIdentities`."""
        if member.discovery is None or patient.authority in member.authorities:
            return (patient,)
        known = await self._store.there(member.home, patient)
        if known is not None:
            return known
        discovery = await member.discovery.discover(PatientQuery(identifiers=(patient,)))
        found = _identifiers(discovery, member)
        seconds = discovery.time_to_live
        if seconds is None and not self._unasked:
            seconds = 0.0
        await self._store.remember(member.home, patient, found, seconds)
        return found

    async def here(self, there: Cx, member: Member) -> Cx:
        """See `PatientIdentities`."""
        known = await self._store.here(member.home, there)
        if known is not None:
            return known
        bound = bound_patient()
        # who may see one patient only is told whether it is that one, also where nothing is remembered
        if bound is not None and bound != there and await self.there(bound, member) == (there,):
            return bound
        return there

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
