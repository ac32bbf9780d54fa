"""Studies as FHIR sees them, and the addresses of their images at the gateway."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateway.correlation.studies import StudyIndex
from gateway.fhir.found_study import FoundStudy
from gateway.imaging.plan import Locations
from gateway.imaging.studies import KnownStudy, StudySource
from gateway.model import Cx
from gateway.model.imaging import RetrieveLocation
from gateway.security.study_ids import StudyIdentity, StudyIds, StudyOwner
from gateway.security.study_urls import StudyKey, StudyTokens


@dataclass(frozen=True, slots=True)
class StudyNames:
    """Gives studies their ids, and their images their addresses."""

    ids: StudyIds
    index: StudyIndex
    tokens: StudyTokens
    locations: Locations
    base_url: str

    def found(self, known: KnownStudy) -> FoundStudy | None:
        """The study as searches see it; None where the registry does not say whose it is."""
        entry = known.sources[0].entry
        if entry.patient_id is None:
            return None
        identity = identity_of(known, entry.patient_id)
        return FoundStudy(
            id=self.ids.write(identity),
            study=known.study,
            entry_uuid=entry.entry_uuid,
            unique_id=entry.unique_id,
            patient_id=entry.patient_id,
            home_community_id=known.home_community_id,
            updated=entry.creation_time,
            utc_offset=known.utc_offset,
            part_id=partial(self.ids.write_part, identity),
        )

    async def remember(self, found: FoundStudy, home_community_id: str | None) -> None:
        """Keep what the id of a study stands for, where it does not carry that itself."""
        if found.patient_id is not None:
            uid = found.study.study_instance_uid
            identity = StudyIdentity(uid, found.patient_id, home_community_id)
            digest = self.ids.digest(identity)
            if found.id == digest or found.viewer_id.startswith(digest):
                await self.index.remember(digest, identity)

    async def owner(self, resource_type: str, resource_id: str) -> StudyOwner | None:
        """Whose the study is that a resource is (made of); None where that is not known any more.

        Raises NotOurs.
        """
        is_study = resource_type == "ImagingStudy"
        read = self.ids.read(resource_id) if is_study else self.ids.read_part(resource_id)
        if isinstance(read, StudyOwner):
            return read
        remembered = await self.index.find(read)
        return None if remembered is None else remembered.owner

    def address(self, known: KnownStudy, place: RetrieveLocation) -> str | None:
        """WADO-RS base for the series at a location; None where the gateway cannot reach it."""
        if self.locations.leg(place, known.home_community_id) is None:
            return None
        return self.base_of(_granting(known, place).key)

    def base_of(self, key: StudyKey) -> str:
        """WADO-RS base for what a manifest lists."""
        return f"{self.base_url}/wado/{self.tokens.write(key)}"


def identity_of(known: KnownStudy, patient: Cx) -> StudyIdentity:
    """What the study is asked for by."""
    return StudyIdentity(known.study.study_instance_uid, patient, known.home_community_id)


def _granting(known: KnownStudy, place: RetrieveLocation) -> StudySource:
    """The manifest that lists a series at the place."""
    for series in known.study.series:
        if place in series.locations:
            return known.source_of(series.series_instance_uid)
    return known.sources[0]


AddressOf = Callable[[FoundStudy, RetrieveLocation], str | None]
