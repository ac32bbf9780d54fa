"""A published study and how to speak of it, for tests over the whole stack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import SampleContent, sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from gateway.model import Cx
from gateway.security.sealing import KeyRing
from gateway.security.study_urls import StudyKey, StudyTokens

from .documents import a_patient
from .stack import REPOSITORY, Stack, running_stack


class Published:
    """A study whose manifest is in the registry."""

    def __init__(self, stack: Stack, content: SampleContent, entry_uuid: str) -> None:
        self.stack = stack
        self.content = content
        self.study = content.images
        self.files = {image.sop_instance_uid: data for _, image, data in content.images.files()}
        self.key = StudyKey(
            study_instance_uid=self.study.study_instance_uid,
            repository_unique_id=REPOSITORY,
            document_unique_id=content.manifest.unique_id,
            entry_uuid=entry_uuid,
            patient_id=Cx(content.patient.id, content.patient.authority),
            mime_type="application/dicom",
        )
        self.path = f"studies/{self.study.study_instance_uid}"

    def url(self, path: str | None = None, key: StudyKey | None = None) -> str:
        """Below the base that a token opens."""
        ring = KeyRing.load_or_create(self.stack.settings.state_dir / "keys")
        token = StudyTokens(ring).write(key or self.key)
        return f"{self.stack.base_url}/wado/{token}/{path or self.path}"

    async def get(self, url: str, accept: str) -> tuple[int, Any, bytes]:
        """Status, headers and body."""
        async with self.stack.session.get(url, headers={"Accept": accept}) as answer:
            return answer.status, answer.headers, await answer.read()

    async def search(self, resource_type: str, **parameters: Any) -> dict[str, Any]:
        """A searchset; double underscores in names stand for dots."""
        named = {name.replace("__", "."): value for name, value in parameters.items()}
        status, bundle = await self.stack.get(resource_type, **named)
        assert status == 200, bundle
        return bundle


def matches(bundle: dict[str, Any], mode: str = "match") -> list[dict[str, Any]]:
    """Resources of a searchset."""
    return [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == mode]


@asynccontextmanager
async def published_study(folder: Path, seed: str, **settings: Any) -> AsyncIterator[Published]:
    """A stack with one patient's study, at a source that speaks RAD-69 and one that speaks WADO-RS.

    `settings` are further arguments of `running_stack`.
    """
    content = sample_content(seed, a_patient().id)
    folders = content.images.write(folder / "images")
    images = {
        FIRST_LOCATION: (folders[FIRST_LOCATION], "rad-69"),
        SECOND_LOCATION: (folders[SECOND_LOCATION], "wado-rs"),
    }
    async with running_stack(folder / "stack", images=images, **settings) as stack:
        stack.interfere = None
        status, answer = await stack.publish(provide_bundle([content.manifest], patient=content.patient))
        assert status == 200, answer
        (found,) = await stack.find(
            patient__identifier=content.patient.token, status="current", contenttype="application/dicom"
        )
        yield Published(stack, content, f"urn:uuid:{found['id']}")
