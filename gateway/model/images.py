"""Retrieving the images of a study (RAD-69, RAD-75, RAD-107): what is asked for, and what comes back.

A leg is one way to a source of images. Whatever the leg, it is asked for `SeriesWanted` and answers with
`ImagePart` and `ImageError` values in the order in which the source gives them.
"""

from collections.abc import AsyncIterator

from msgspec import Struct

from gateway.model.imaging import RetrieveLocation


class SeriesWanted(Struct, frozen=True):
    """Instances of one series at one location.

    `whole` says that they are all that the manifest lists: a leg that retrieves by series may then pass on
    more than is listed. `home_community_id` is that of another community, None in the own one.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uids: tuple[str, ...]
    location: RetrieveLocation
    home_community_id: str | None = None
    whole: bool = False


class ImageError(Struct, frozen=True):
    """An instance that does not come, or, without `sop_instance_uid`, a warning about the answer as a whole.

    `code` is the peer's own (`XDSDocumentUniqueIdError`), or `missing` where it gave neither the instance
    nor an error; `peer` is its name in the settings. `context` may quote the peer: never log or show it.
    """

    peer: str
    code: str
    sop_instance_uid: str | None = None
    context: str = ""


class ImagePart(Struct, frozen=True):
    """One instance on its way.

    `sop_instance_uid` and `transfer_syntax` are what the leg says of it, None where only the bytes tell.
    `chunks` runs once and has to be read to its end before the next part is asked for.
    """

    media_type: str
    chunks: AsyncIterator[bytes | memoryview]
    sop_instance_uid: str | None = None
    transfer_syntax: str | None = None
    size: int | None = None
