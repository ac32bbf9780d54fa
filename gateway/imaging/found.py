"""Studies as FHIR sees them, and the addresses of their images at the gateway."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateway.correlation.studies import StudyIndex
from gateway.fhir.found_study import FoundStudy
from gateway.imaging.plan import Locations
from gateway.imaging.studies import KnownStudy, StudySource
from gateway.model import Cx, DocumentEntry
from gateway.model.imaging import RetrieveLocation
from gateway.model.object_ids import unmarked
from gateway.security.study_ids import StudyDocument, StudyIdentity, StudyIds, StudyOwner
from gateway.security.study_urls import StudyKey, StudyTokens


@dataclass(frozen=True, slots=True)
class StudyNames:
    """Gives studies their ids, and their images their addresses."""

    ids: StudyIds
    index: StudyIndex
    tokens: StudyTokens
    locations: Locations
    base_url: str

    def found(self, known: KnownStudy, asked: StudyDocument | None = None) -> FoundStudy | None:
        """The study as searches see it; None where the registry does not say whose it is.

        `asked` is what the id carries that the study is asked for by.
        """
        entry = known.sources[0].entry
        if entry.patient_id is None:
            return None
        oldest = min((source.entry for source in known.sources), key=_since)
        uid = known.study.study_instance_uid
        identity = self.identity(uid, entry.patient_id, oldest, asked)
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

    def identity(
        self, study_instance_uid: str, patient: Cx, listed_in: DocumentEntry, asked: StudyDocument | None
    ) -> StudyIdentity:
        """What a study is asked for by that a document lists."""
        document = listed_in.logical_id or listed_in.entry_uuid
        if asked is not None and self.ids.is_meant(asked, study_instance_uid):
            same_community = unmarked(asked.document)[1] == unmarked(document)[1]
            document = asked.document if same_community else document
        return StudyIdentity(study_instance_uid, patient, listed_in.home_community_id, document)

    async def remember(self, found: FoundStudy, home_community_id: str | None) -> None:
        """Keep what the id of a study stands for, where it does not carry that itself."""
        if found.patient_id is not None:
            uid = found.study.study_instance_uid
            identity = StudyIdentity(uid, found.patient_id, home_community_id)
            digest = self.ids.digest(identity)
            if found.id == digest or found.viewer_id.startswith(digest):
                await self.index.remember(digest, identity)

    async def owner(self, resource_type: str, resource_id: str) -> StudyOwner | StudyDocument | None:
        """Whose the study is that a resource is (made of), or a document that lists it.

        None where that is not known any more. Raises NotOurs.
        """
        is_study = resource_type == "ImagingStudy"
        read = self.ids.read(resource_id) if is_study else self.ids.read_part(resource_id)
        if not isinstance(read, str):
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


def _since(entry: DocumentEntry) -> tuple[str, str]:
    return entry.creation_time or "", entry.entry_uuid


def _granting(known: KnownStudy, place: RetrieveLocation) -> StudySource:
    """The manifest that lists a series at the place."""
    for series in known.study.series:
        if place in series.locations:
            return known.source_of(series.series_instance_uid)
    return known.sources[0]


AddressOf = Callable[[FoundStudy, RetrieveLocation], str | None]
