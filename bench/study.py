"""A large study: its manifest, and the head of each of its instances."""

from functools import lru_cache

from lxml import etree
from msgspec.structs import replace as changed

from bench import sample
from bench.manifests import sample_manifest
from gateway.dicom.kos_writer import write_kos
from gateway.ebxml.query_response import write_query_response
from gateway.model import QueryResult, ResponseStatus, imaging_codes
from gateway.model.imaging import Instance, Manifest, RetrieveLocation, RetrieveLocationUid, Series, Study
from gateway.model.metadata import Code

STUDY = "2.999.5"
LOCATION = RetrieveLocationUid("2.999.200.1")
DOCUMENT = "2.999.5.9999"
CT = "1.2.840.10008.5.1.4.1.1.2"
_EXPLICIT = "1.2.840.10008.1.2.1"


def manifest(series: int, instances: int) -> Manifest:
    """`series` series of `instances` CT images each."""
    modality = Code("CT", "1.2.840.10008.2.16.4", "Computed Tomography")
    return Manifest(
        sop_instance_uid=DOCUMENT,
        series_instance_uid="2.999.5.9998",
        study=Study(
            STUDY,
            modalities=(modality,),
            series=tuple(
                Series(
                    f"{STUDY}.{number}",
                    modality=modality,
                    number=str(number),
                    locations=(RetrieveLocation(LOCATION),),
                    instances=tuple(
                        Instance(f"{STUDY}.{number}.{n}", CT, str(n)) for n in range(1, instances + 1)
                    ),
                )
                for number in range(1, series + 1)
            ),
        ),
    )


@lru_cache(maxsize=4)
def manifest_bytes(series: int, instances: int) -> bytes:
    """The same as a key object document."""
    return write_kos(manifest(series, instances))


def document(number: int) -> str:
    """uniqueId of the manifest of one of several studies."""
    return f"2.999.7.{number + 1}"


@lru_cache(maxsize=4)
def registered(count: int) -> bytes:
    """The AdhocQueryResponse with the entries of `count` manifests."""
    entries = tuple(
        changed(
            sample.entry(number),
            unique_id=document(number),
            mime_type="application/dicom",
            format_code=Code(imaging_codes.FORMAT_KOS, imaging_codes.DCMUID, "Key Object Selection"),
            hash=None,
            size=None,
        )
        for number in range(count)
    )
    return etree.tostring(write_query_response(QueryResult(status=ResponseStatus.SUCCESS, entries=entries)))


@lru_cache(maxsize=1000)
def manifest_of(unique_id: str, instances: int) -> bytes:
    """The manifest of a study of its own."""
    made = sample_manifest(instances)
    own = changed(made.study, study_instance_uid=f"{unique_id}.1")
    return write_kos(changed(made, sop_instance_uid=unique_id, study=own))


def head(sop_instance_uid: str) -> bytes:
    """Preamble and file meta group of an instance; what follows is taken for pixels."""
    elements = b"".join(
        _ui(number, value) for number, value in ((0x02, CT), (0x03, sop_instance_uid), (0x10, _EXPLICIT))
    )
    length = b"\x02\x00\x00\x00UL\x04\x00" + len(elements).to_bytes(4, "little")
    return b"\0" * 128 + b"DICM" + length + elements


def _ui(number: int, value: str) -> bytes:
    text = value.encode("ascii")
    text += b"\0" * (len(text) % 2)
    return b"\x02\x00" + number.to_bytes(2, "little") + b"UI" + len(text).to_bytes(2, "little") + text
