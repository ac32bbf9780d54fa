"""From an image URL to the study that it may open.

An image is served because a manifest of a patient lists it, never because a source holds it. A URL with a
token names its manifest; a URL without one is answered from the manifests that this gateway has seen, and
where the request says whose study it is, from those that the registry has.
"""

from collections.abc import Sequence

from gateway.clients.community import Queries
from gateway.correlation.manifests import ManifestStore
from gateway.fhir.issues import OutcomeError, fail
from gateway.imaging.fetched_documents import UnknownRepository
from gateway.imaging.manifests import ManifestError, Manifests, WantedManifest
from gateway.imaging.plan import ImageSelection
from gateway.imaging.studies import StudyFinder
from gateway.model import Cx, ImageRequest
from gateway.model.imaging import Manifest
from gateway.model.query import GetDocuments
from gateway.security.access import bound_patient, is_limited, require_patient, visible
from gateway.security.study_urls import NotOurs, StudyKey, StudyTokens
from gateway.security.subjects import about_study, forged


class Grants:
    """Studies by token or by what has been seen."""

    def __init__(
        self,
        tokens: StudyTokens,
        manifests: Manifests,
        store: ManifestStore,
        studies: StudyFinder | None = None,
        *,
        registry: Queries | None = None,
    ) -> None:
        """`studies` are asked for a study of a known patient that was not seen; None: nobody is.

        `registry` says of manifests whether they may be seen, where that depends on who asks; without it
        they may not.
        """
        self._registry = registry
        self._tokens = tokens
        self._manifests = manifests
        self._store = store
        self._studies = studies

    async def by_token(self, token: str, study_instance_uid: str) -> ImageSelection:
        """The study of a token. Raises OutcomeError 404, RegistryFailure and PeerError."""
        return await self._selection(self._key(token), study_instance_uid)

    async def listed(self, token: str) -> tuple[StudyKey, Manifest]:
        """The manifest of a token. Raises the same."""
        key = self._key(token)
        return key, await self._manifest(key)

    async def patients_of_study(self, study_instance_uid: str) -> tuple[Cx, ...]:
        """Whose study it is, from the manifests that were seen, else whom the request is bound to."""
        keys = await self._store.of_study(study_instance_uid)
        bound = bound_patient()
        if not keys and bound is not None:
            return (bound,)
        return visible(dict.fromkeys(key.patient_id for key in keys if key.patient_id is not None))

    async def by_study(
        self, study_instance_uid: str, patient: Cx | None = None, *, home: str | None = None
    ) -> ImageSelection:
        """The study of the manifest that was seen last: in the community `home`, else the own one.

        With `patient`, or in a request that is bound to one, it is that patient's, and the registry is asked
        where no manifest of it was seen. Raises the same.
        """
        if patient is not None:
            require_patient(patient)
        keys = list(await self._store.of_study(study_instance_uid))
        if bound_patient() is not None:
            shown = visible(key.patient_id for key in keys if key.patient_id is not None)
            keys = [key for key in keys if key.patient_id in shown]
        whose = patient or bound_patient()
        if whose is not None:
            keys = [key for key in keys if key.patient_id == whose]
            keys = keys or await self._registered(study_instance_uid, whose)
        if not keys:
            raise fail(
                404,
                "not-found",
                "This gateway has seen no manifest of this study. Search for it first (ImagingStudy or "
                "DocumentReference of the patient), and the addresses of the answer open its images, or add "
                "the parameter patient=Patient/[id].",
            )
        keys.sort(key=lambda key: (key.home_community_id != home, key.home_community_id is not None))
        return await self._selection(keys[0], study_instance_uid)

    async def _registered(self, study_instance_uid: str, patient: Cx) -> list[StudyKey]:
        """Keys of the study's manifests, those of each community with the latest first."""
        if self._studies is None:
            return []
        found = await self._studies.of_patient(patient)
        return [
            source.key
            for known in found.studies
            if known.study.study_instance_uid == study_instance_uid
            for source in known.sources
        ]

    async def of_images(self, images: Sequence[ImageRequest]) -> ImageSelection:
        """The study of images, which are all of one, as `by_study`."""
        return await self.by_study(images[0].study_instance_uid, home=images[0].home_community_id)

    def _key(self, token: str) -> StudyKey:
        try:
            key = self._tokens.read(token)
        except NotOurs:
            forged("an address of images that was not given out here, or was altered")
            raise fail(
                404, "not-found", "No images at this URL. Search again and use the address as it is given."
            ) from None
        require_patient(key.patient_id)
        return key

    async def _selection(self, key: StudyKey, study_instance_uid: str) -> ImageSelection:
        about_study(study_instance_uid, key.patient_id)
        study = (await self._manifest(key)).study
        if study.study_instance_uid != study_instance_uid:
            raise fail(404, "not-found", "The study of the path is not the one that this address opens.")
        return ImageSelection(study, home_community_id=key.home_community_id)

    async def _may_be_seen(self, key: StudyKey) -> bool:
        if self._registry is None:
            return False
        query = GetDocuments(entry_uuids=(key.entry_uuid,), home=key.home_community_id)
        return bool((await self._registry.query(query)).entries)

    async def _manifest(self, key: StudyKey) -> Manifest:
        if is_limited() and not await self._may_be_seen(key):
            raise fail(404, "not-found", "There are no images at this address for who asks.")
        try:
            read = await self._manifests.one(WantedManifest(key))
        except ManifestError as error:
            raise _unusable(str(error)) from None
        except UnknownRepository as error:
            raise fail(
                404,
                "not-found",
                f"The manifest lies where this gateway does not reach: {error}; an operator can add it to "
                "the setting repositories.",
                details_code="XDSUnknownRepositoryId",
            ) from None
        return read.manifest


def _unusable(reason: str) -> OutcomeError:
    return fail(502, "exception", f"The manifest of the study cannot be used: {reason}.")
