"""Manifests in the other format, made when they are retrieved (IHE RAD MADO 0.1.0: responders may convert).

The same manifest gives the same bytes. Addresses in FHIR manifests are those of this gateway, which work
where the caller has no way to the source of the images.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

import orjson
from msgspec.structs import replace

from gateway.dicom.kos_writer import write_kos
from gateway.fhir.formats import FhirFormat, read_resource, write_resource
from gateway.fhir.issues import OutcomeError
from gateway.fhir.manifest_bundle import ManifestContext, manifest_bundle_bytes
from gateway.fhir.terminology import Terminology
from gateway.imaging.accessions import AS_STATED, Accessions
from gateway.imaging.found import StudyNames
from gateway.imaging.manifests import ManifestError, Manifests, WantedManifest
from gateway.model import DocumentEntry
from gateway.model.dtm import dtm_start, is_dtm
from gateway.model.imaging import Manifest, RetrieveLocation
from gateway.model.imaging_codes import MIME_DICOM
from gateway.security.study_urls import StudyKey

MANIFEST_TYPES: Final = (MIME_DICOM, *map(str, FhirFormat))
"""What any manifest can be given as."""

_WRITTEN_IN_THREAD: Final = 100
"""Instances of a manifest that is written outside the event loop."""


@dataclass(frozen=True, slots=True)
class ManifestTranslator:
    """Writes registered manifests as one of `MANIFEST_TYPES`.

    `zone` is that of times without offset, `dialect` the codes of key object documents.
    """

    manifests: Manifests
    names: StudyNames
    terminology: Terminology
    zone: tzinfo | None = None
    dialect: str = "dcm"
    accessions: Accessions = AS_STATED

    async def translated(self, entry: DocumentEntry, mime_type: str) -> bytes:
        """The manifest of an entry in another format.

        Raises ManifestError, UnknownRepository, PeerError and RegistryFailure.
        """
        wanted = WantedManifest.of(entry)
        if wanted is None:
            raise ManifestError("the registry does not say which repository holds it")
        if MIME_DICOM not in (entry.mime_type, mime_type):
            return await self._in_other_syntax(wanted, mime_type)
        manifest = self.accessions.completed((await self.manifests.one(wanted)).manifest, entry)
        key = replace(wanted.key, study_instance_uid=manifest.study.study_instance_uid)
        write = self._writer(manifest, key, entry, mime_type)
        if sum(len(series.instances) for series in manifest.study.series) > _WRITTEN_IN_THREAD:
            return await asyncio.to_thread(write)
        return write()

    async def _in_other_syntax(self, wanted: WantedManifest, mime_type: str) -> bytes:
        """JSON as XML or the reverse: all that the document has, known here or not."""
        content = await self.manifests.content(wanted)
        try:
            resource = read_resource(content, FhirFormat(wanted.key.mime_type), "Bundle")
        except (OutcomeError, ValueError):
            raise ManifestError("it is no FHIR resource of the type that is registered") from None
        return write_resource(orjson.dumps(resource), FhirFormat(mime_type))

    def _writer(
        self, manifest: Manifest, key: StudyKey, entry: DocumentEntry, mime_type: str
    ) -> Callable[[], bytes]:
        if mime_type == MIME_DICOM:
            return lambda: write_kos(manifest, dialect=self.dialect)

        def address_of(place: RetrieveLocation) -> str | None:
            leg = self.names.locations.leg(place, key.home_community_id)
            return self.names.base_of(key) if leg is not None else None

        created = entry.creation_time
        context = ManifestContext(
            terminology=self.terminology,
            assembled=dtm_start(created) if created and is_dtm(created) else datetime.now(UTC),
            address_of=address_of,
            default_zone=self.zone,
            patient=entry.patient_id,
        )
        return lambda: manifest_bundle_bytes(manifest, context, FhirFormat(mime_type))
