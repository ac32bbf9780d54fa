"""The bases of the settings: one that all releases of FHIR share, and one for each."""

from typing import Final

from gateway.mhd.bases import Base, Bases
from gateway.model.releases import FhirRelease
from gateway.settings import Settings

BASE_PATH: Final = "/fhir"


def releases_of(settings: Settings) -> tuple[FhirRelease, ...]:
    """The releases of FHIR that are spoken; R4 always is."""
    return tuple(release for release in FhirRelease if release.name in {"R4", *settings.server.releases})


def bases_of(settings: Settings, base_url: str) -> Bases:
    """The base that all releases share, and one below it for each."""
    own = [Base(f"{BASE_PATH}/{r.name}", f"{base_url}/{r.name}", r) for r in releases_of(settings)]
    return Bases([Base(BASE_PATH, base_url), *own])


def scope_of(base: Base, release: FhirRelease) -> str:
    """What keeps links and answers of one release and base apart from those of the others."""
    if base.release is None:
        return "" if release is FhirRelease.R4 else f" {release.name}"
    return f" below {release.name}"
