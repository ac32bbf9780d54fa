"""Profiles that say for themselves of which release of FHIR a resource is (FHIR R5, versioning: where a
version is stated twice, it has to be the same).

Core profiles have the release in their canonical, `http://hl7.org/fhir/4.0/StructureDefinition/Patient`;
those of IHE MHD have the same canonical in both releases, and the version of the guide behind it.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.fhir.findings import Findings
from gateway.model import codes
from gateway.model.releases import FhirRelease, release_named

_CORE: Final = re.compile(r"http://hl7\.org/fhir/(\d\.\d)/StructureDefinition/[A-Z][A-Za-z]+(?:\|.*)?")
_MHD: Final = re.compile(re.escape(codes.MHD) + r"[^|]*\|(\d+)\..*")


def check_claimed_release(resource: Any, path: str, findings: Findings, release: FhirRelease) -> None:
    """Report each profile in `resource`, and in what it holds, that is of another release."""
    for place, profile in _profiles(resource, path):
        core, guide = _CORE.fullmatch(profile), _MHD.fullmatch(profile)
        if (core and release_named(core[1]) is not release) or (guide and guide[1] != release.mhd[0]):
            findings.error(
                place,
                "value",
                f"This profile is of another release than this request, which is of FHIR {release}: send the "
                "resource to the base of its release, or leave the version out.",
            )


def _profiles(resource: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(resource, dict):
        return
    meta = resource.get("meta")
    profiles = meta.get("profile") if isinstance(meta, dict) else None
    for number, profile in enumerate(profiles if isinstance(profiles, list) else ()):
        if isinstance(profile, str):
            yield f"{path}.meta.profile[{number}]", profile
    for name, of in (("entry", ".resource"), ("contained", "")):
        held = resource.get(name)
        for number, item in enumerate(held if isinstance(held, list) else ()):
            inner = item.get("resource") if of and isinstance(item, dict) else item
            yield from _profiles(inner, f"{path}.{name}[{number}]{of}")
