"""What a client of MHD shows of resources, and what it keeps of a document."""

from dataclasses import dataclass
from typing import Any

from gateway.model.codes import EXT_HOME_COMMUNITY

Resource = dict[str, Any]


class ClientError(Exception):
    """The server refused, or did not answer as it should; the text is one line."""


@dataclass(frozen=True, slots=True)
class Document:
    """Where a document is, and its size in bytes and SHA-1 (base64) where the server says them."""

    url: str
    size: int | None = None
    sha1: str | None = None


def described(resource: Resource) -> dict[str, str]:
    """A resource as a row of a table: its id and what a person looks for."""
    kind = resource.get("resourceType")
    if kind == "DocumentReference":
        attachment = resource["content"][0]["attachment"]
        return {
            "id": resource["id"],
            "created": attachment.get("creation", ""),
            "type": _concept(resource.get("type")),
            "title": attachment.get("title", ""),
            "media type": attachment.get("contentType", ""),
            "bytes": str(attachment.get("size", "")),
            "community": _community(resource),
        }
    row = {"id": resource["id"], "date": "", "what": "", "more": ""}
    row["date"] = next((str(resource[n]) for n in ("date", "started", "issued") if n in resource), "")
    if kind == "ImagingStudy":
        row["what"] = " ".join(dict.fromkeys(m.get("code", "") for m in resource.get("modality", ())))
        row["more"] = f"{resource.get('numberOfInstances', '?')} images; {_uid(resource)}"
    else:
        row["what"] = _concept(resource.get("code")) or str(resource.get("title", ""))
        row["more"] = str(resource.get("title", ""))
    return row


def _community(resource: Resource) -> str:
    """The homeCommunityId of what comes from another community."""
    found = (e for e in resource.get("extension", ()) if e.get("url") == EXT_HOME_COMMUNITY)
    return str(next((e.get("valueOid", "") for e in found), ""))


def _concept(concept: Resource | None) -> str:
    if not concept:
        return ""
    coding: Resource = next(iter(concept.get("coding", ())), {})
    return str(coding.get("display") or concept.get("text") or coding.get("code") or "")


def _uid(study: Resource) -> str:
    return next((i["value"] for i in study.get("identifier", ()) if i.get("system") == "urn:dicom:uid"), "")
