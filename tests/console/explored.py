"""A gateway with a console in front of three communities: its own (XDS.b, RAD-69 and WADO-RS), one that speaks XCA
and XCA-I, and one that speaks MHD and WADO-RS; a patient has a study in each."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import SampleContent, sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from tests.crossborder.neighbours import OWN, Neighbour, neighbour
from tests.system.documents import a_patient
from tests.system.issuers import running_issuer
from tests.system.stack import Stack, running_stack

from .signed_in import Console, Seen, Visitor

XCA, MHD = f"{OWN}.1", f"{OWN}.2"
EVERYTHING = "2.999.60.20"
SUPPORT = "console"
CLINICIAN = "console system/*.rs"


@dataclass
class Explored(Console):
    """The console, and what lies behind it by homeCommunityId."""

    others: dict[str, Stack] = field(default_factory=dict)
    contents: dict[str, SampleContent] = field(default_factory=dict)

    @property
    def own(self) -> SampleContent:
        return self.contents[OWN]


@asynccontextmanager
async def explored(folder: Path, **settings: Any) -> AsyncIterator[Explored]:
    """All of it, with every study seen once by a search."""
    patient = a_patient()
    contents = {home: sample_content(f"explored {home}", patient.id) for home in (OWN, XCA, MHD)}
    roots = {home: folder / f"images{number}" for number, home in enumerate(contents)}
    places = {home: content.images.write(roots[home]) for home, content in contents.items()}
    images = {
        home: {
            FIRST_LOCATION: (of[FIRST_LOCATION], "rad-69"),
            SECOND_LOCATION: (of[SECOND_LOCATION], "wado-rs"),
        }
        for home, of in places.items()
    }
    images[MHD][EVERYTHING] = (roots[MHD], "wado-rs")
    async with AsyncExitStack() as stack:
        xca: Neighbour = await stack.enter_async_context(neighbour(folder / "xca", XCA, images=images[XCA]))
        mhd = await stack.enter_async_context(
            running_stack(folder / "mhd", home_community_id=MHD, images=images[MHD])
        )
        archive = next(each.url for each in mhd.settings.imaging.locations if each.uid == EVERYTHING)
        issuer = await stack.enter_async_context(running_issuer())
        front = await stack.enter_async_context(
            running_stack(
                folder / "front",
                home_community_id=OWN,
                images=images[OWN],
                communities=[
                    xca.settings(name="by XCA"),
                    {
                        "home_community_id": MHD,
                        "name": "by MHD",
                        "mhd": {"base_url": mhd.base_url, "dicomweb_url": archive},
                    },
                ],
                security={
                    "access": "token",
                    "issuers": [{"issuer": issuer.url, "jwks_url": f"{issuer.url}/jwks"}],
                    **settings.pop("security", {}),
                },
                console={"enabled": True},
                **settings,
            )
        )
        running = Explored(front, issuer, {XCA: xca.stack, MHD: mhd}, contents)
        front.session.headers["Authorization"] = (
            f"Bearer {running.token('system/*.cruds system/AuditEvent.rs')}"
        )
        for home, content in contents.items():
            at = running.others.get(home, front)
            status, answer = await at.publish(provide_bundle([content.manifest], patient=patient))
            assert status == 200, answer
        status, found = await front.get("ImagingStudy", **{"patient.identifier": patient.token})
        assert (status, found["total"]) == (200, 3), found
        yield running


async def look_for(guest: Visitor, what: str, **more: str) -> Seen:
    """Fill in the form, and follow where it leads."""
    form = (await guest.get("/explore")).form("/explore")
    sent = await guest.post("/explore", {**form, "what": what, **more})
    assert sent.status == 303, sent.text
    location = sent.headers["Location"]
    assert what not in location
    return await guest.get(location.removeprefix("/console"))
