"""What is supported by transaction and option. The README has the same table, and a test compares them."""

from gateway.fhir.supported_documents import DOCUMENTS
from gateway.fhir.supported_imaging import IMAGING
from gateway.fhir.supported_peers import PEERS
from gateway.fhir.supported_row import Level, SupportedRow

__all__ = ["SUPPORTED", "Level", "SupportedRow", "supported_table_markdown"]

SUPPORTED: tuple[SupportedRow, ...] = (*DOCUMENTS, *IMAGING, *PEERS)


def supported_table_markdown() -> str:
    """`SUPPORTED` as a Markdown table, with a line break at its end."""
    lines = ["| transaction | option | supported | note |", "|---|---|---|---|"]
    lines += [f"| {r.transaction} | {r.option} | {r.supported} | {r.note} |" for r in SUPPORTED]
    return "\n".join(lines) + "\n"
