"""What the patient manager said of patients, kept in Redis for a while: by which identifiers it knows them,
and what they are called. Each answer is a single key, so that any node of a cluster serves it.
"""

from typing import Final

from gateway.correlation.store import CorrelationStore
from gateway.correlation.values import Values
from gateway.model import Cx
from gateway.model.identity import PatientQuery, SourceIdentifier

KNOWN_AS: Final = "patient-known-as"
SAID: Final = "patient-said"


class ManagedPatientStore:
    """Answers by identifier. No method raises when Redis is away."""

    def __init__(self, store: CorrelationStore, lifetime: float, lifetime_of_unknown: float) -> None:
        """Lifetimes in seconds: of what the manager knows, and of that it does not know somebody."""
        self._known = Values[tuple[Cx, ...]](store, KNOWN_AS, tuple[Cx, ...], lifetime)
        self._unknown = Values[tuple[Cx, ...]](store, KNOWN_AS, tuple[Cx, ...], lifetime_of_unknown)
        self._said = Values[PatientQuery](store, SAID, PatientQuery, lifetime)
        self._unsaid = Values[PatientQuery](store, SAID, PatientQuery, lifetime_of_unknown)

    async def known_as(self, source: SourceIdentifier, domain: str) -> tuple[Cx, ...] | None:
        """What somebody is called in a domain, which may be nothing; None where that is not kept."""
        return await self._known.get(_key(source, domain))

    async def remember(self, source: SourceIdentifier, domain: str, found: tuple[Cx, ...]) -> None:
        """Keep what somebody is called in a domain; several are several patients."""
        await (self._known if found else self._unknown).put(_key(source, domain), found)

    async def said(self, patient: Cx) -> PatientQuery | None:
        """What is known of a patient, which may be nothing; None where that is not kept."""
        return await self._said.get(f"{patient.authority}\0{patient.id}")

    async def remember_said(self, patient: Cx, said: PatientQuery) -> None:
        """Keep what is known of a patient."""
        values = self._unsaid if said == PatientQuery() else self._said
        await values.put(f"{patient.authority}\0{patient.id}", said)


def _key(source: SourceIdentifier, domain: str) -> str:
    return f"{domain}\0{source.system}\0{source.value}"


__all__ = ["ManagedPatientStore"]
