"""Documents and patients for tests, each test with its own patient."""

import uuid
from typing import Any

from gateway.demo.samples import IdSource, SampleDocument, SamplePatient


def a_patient(name: str = "") -> SamplePatient:
    """A patient that no other test has."""
    return SamplePatient(f"{name}{uuid.uuid4().hex[:10]}", "Muster", "Eva", "1961-02-03", "female", "Wien")


def a_document(seed: str | None = None, content: bytes = b"text\r\n", **changes: Any) -> SampleDocument:
    """A document with its own uniqueId."""
    values: dict[str, Any] = {
        "unique_id": IdSource(seed or uuid.uuid4().hex).oid(7),
        "content": content,
        "content_type": "text/plain",
        "title": "Note",
        **changes,
    }
    return SampleDocument(**values)
