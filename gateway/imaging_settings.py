"""Settings of images, their sources and their manifests: section `imaging`."""

from typing import Literal, Self

from pydantic import model_validator

from gateway.clients.quirks import ImagingSourceQuirks
from gateway.domain_settings import PeerSettings
from gateway.publish_settings import InstitutionSettings
from gateway.setting_types import Count, HostAndPort, Oid, Seconds, Section, ZoneName


class ImagingLocationSettings(PeerSettings):
    """A Retrieve Location UID and the source of images that it stands for."""

    uid: Oid
    protocol: Literal["rad-69", "wado-rs"] = "rad-69"
    """How the source at `url` is asked: by SOAP (an Imaging Document Source of XDS-I.b), or by WADO-RS, where
    `url` is the base that `/studies` follows."""
    quirks: ImagingSourceQuirks = ImagingSourceQuirks()


class ImagingSettings(Section):
    """Images of studies (RAD-107, RAD-69)."""

    locations: tuple[ImagingLocationSettings, ...] = ()
    retrieve_url_hosts: tuple[HostAndPort, ...] = ()
    """Archives that a manifest may name by a Retrieve URL: `host` for the ports 80 and 443, or `host:port`.
    By default only `locations` are called."""
    order: Literal["arrival", "manifest"] = "arrival"
    """Instances in the order in which sources give them, or in that of the manifest."""
    spool_bytes: Count = 1024 * 1024 * 1024
    """With `order: manifest`, bytes of one answer that may wait in files."""
    status_wait: Seconds = 2.0
    """Seconds left to slow sources before an answer begins that may turn out to be partial."""
    rad69_server: bool | None = None
    """True: /xds/imaging answers RAD-69 for the images of manifests that this gateway has seen, to everyone
    who reaches the port, or who shows an assertion with security.assertions.accept: access tokens are not
    asked for there. By default only where access is open."""
    rad69_spool_bytes: Count = 8 * 1024 * 1024 * 1024
    """Bytes in the state directory that answers to RAD-69 may take up together; an answer begins when the
    last source has answered. Images for which there is no room are an XDSRepositoryOutOfResources."""
    time_zone: ZoneName | None = None
    """Zone of times in manifests that have none, and of days in searches (there UTC by default)."""
    patient_id_authority: Oid | None = None
    """Issuer of the PatientIDs of QIDO-RS searches that name none. Without it such a search is refused."""
    accession_authority: Oid | None = None
    """Issuer of the accession numbers that are made for studies without one (each follows from the Study
    Instance UID, and reports of the study have to carry it). Without it none is made."""
    custodian: InstitutionSettings | None = None
    """Custodian of manifests and reports of the own community whose entries name no institution; each of
    `communities` may have its own."""
    one_modality: bool = False
    """True: the modalities of a document are codings of one extension, for readers that take one alone."""
    twins: bool = True
    """True: a manifest is offered both as DICOM and as FHIR, though it is registered in one of them."""
    publish: Literal["as_sent", "kos", "both"] = "as_sent"
    """Format in which manifests of clients are stored: that of the client, always DICOM, or both, joined by
    an association."""
    check: Literal["strict", "flag"] = "strict"
    """A manifest that cannot be read, or contradicts its metadata, is refused, or stored with a warning."""
    replaces: bool = True
    """True: a manifest replaces the current one of its study in the same format."""
    kos_codes: Literal["dcm", "ti"] = "dcm"
    """Codes of manifests that are written in DICOM: those of the standard, or those of IHE's trial."""
    max_manifest_bytes: Count = 32 * 1024 * 1024
    max_metadata_bytes: Count = 64 * 1024 * 1024
    """Largest metadata (DICOM JSON) of one series that an archive may give."""

    @model_validator(mode="after")
    def _locations(self) -> Self:
        uids = [location.uid for location in self.locations]
        if len(set(uids)) != len(uids):
            raise ValueError("locations: each uid may appear once")
        return self
