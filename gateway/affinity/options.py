"""What the operator of an affinity domain decides: ids of the community, patients, limits, images."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from gateway.affinity.patient_records import PatientRecords
from gateway.model import Cx
from gateway.model.oids import bare_oid

_OID = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+")


@dataclass(frozen=True, slots=True)
class ImageLocation:
    """DICOM files of one imaging document source: its Retrieve Location UID, and what it speaks.

    Raises ValueError where `uid` is no OID.
    """

    uid: str
    folder: Path
    rad69: bool = True
    wado_rs: bool = True

    def __post_init__(self) -> None:
        """Check the UID once."""
        object.__setattr__(self, "uid", bare_oid(self.uid))
        if not is_oid(self.uid):
            raise ValueError("the Retrieve Location UID of a folder of images must be an OID")


@dataclass(frozen=True, slots=True)
class AffinityOptions:
    """Options of one affinity domain. Raises ValueError where an id is not what its name says.

    `repository_unique_id` is an OID, `home_community_id` an OID with or without `urn:oid:`; where it is
    given, it is put on every object and document that is returned, and requests that address another
    community are refused.

    By default every patient is accepted. With `known_authorities` (OIDs) a patient is known when an
    authority of the list issued the id, with `known_patients` when the id is one of the list; either is
    enough. A submission for another patient fails with XDSUnknownPatientId.

    `max_results` bounds the objects of a LeafClass answer (XDSTooManyResults), None is no bound.
    `snapshots` says whether what an On-Demand entry is assembled to is stored and registered when it is
    retrieved. Folders of `image_locations` are looked through anew after `seconds_between_looks`, when they
    are asked. `patients` are those of the patient manager, None where there is none.
    """

    state_dir: Path
    repository_unique_id: str
    home_community_id: str | None = None
    known_authorities: frozenset[str] = field(default_factory=frozenset)
    known_patients: frozenset[Cx] = field(default_factory=frozenset)
    max_results: int | None = None
    snapshots: bool = True
    query_threads: int = 2
    image_locations: tuple[ImageLocation, ...] = ()
    seconds_between_looks: float = 2.0
    patients: PatientRecords | None = None

    def __post_init__(self) -> None:
        """Check the ids once, so that no answer carries a wrong one."""
        if not is_oid(self.repository_unique_id):
            raise ValueError("repository_unique_id must be an OID")
        if self.home_community_id is not None:
            bare = bare_oid(self.home_community_id)
            if not is_oid(bare):
                raise ValueError("home_community_id must be an OID or urn:oid: and an OID")
            object.__setattr__(self, "home_community_id", f"urn:oid:{bare}")
        if self.max_results is not None and self.max_results < 1:
            raise ValueError("max_results must be at least 1")
        if len({location.uid for location in self.image_locations}) != len(self.image_locations):
            raise ValueError("each Retrieve Location UID may have one folder of images")

    def knows(self, patient: Cx) -> bool:
        """True where submissions for `patient` are accepted."""
        if not self.known_authorities and not self.known_patients:
            return True
        return patient.authority in self.known_authorities or patient in self.known_patients

    def is_foreign(self, home_community_id: str | None) -> bool:
        """True where a request addresses another community than the configured one."""
        if not home_community_id or self.home_community_id is None:
            return False
        return bare_oid(home_community_id) != bare_oid(self.home_community_id)


def image_location(text: str, *, rad69: bool = True, wado_rs: bool = True) -> ImageLocation:
    """Read `UID=FOLDER`. Raises ValueError where it is something else."""
    uid, equals, folder = text.partition("=")
    if not equals or not folder:
        raise ValueError("a folder of images is given as UID=FOLDER")
    if not Path(folder).is_dir():
        raise ValueError(f"{folder}: is no folder of DICOM files")
    return ImageLocation(uid, Path(folder), rad69, wado_rs)


def is_oid(value: str) -> bool:
    """True for a dotted OID of at most 64 characters, the bound of DICOM and of ITI TF-3 4.2.3.1.7.

    The first arc may be above 2, which no OID has but the ids of widespread test tools do.
    """
    return len(value) <= 64 and _OID.fullmatch(value) is not None
