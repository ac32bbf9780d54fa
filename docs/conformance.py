"""The conformance statement by IHE actor, made of the table of what is supported (`gateway.fhir.supported`).

Here stands only whose actor does what at which side of a transaction: that the code does not know.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.fhir.supported import SUPPORTED, Level, SupportedRow

WHAT_IT_SAYS: Final = """\
By actor of IHE, and of HL7 Europe, with transactions and options, as the code has them. The note of `part`
says what is missing. `/metadata` of a running gateway says the same for FHIR, with every search parameter."""

CLIENT, SERVER, EMBEDDED, ANY = "client", "server", "embedded", "any"


@dataclass(frozen=True, slots=True)
class ActorRule:
    """Who plays a side of some transactions. The first rule that fits a row is the one that counts."""

    transactions: str
    side: str
    actor: str


_EMBEDDED_DOMAIN: Final = (
    "Embedded affinity domain: Document Registry, Document Repository, Imaging Document Source"
)
RULES: Final = tuple(
    ActorRule(*each)
    for each in (
        ("ITI-18|ITI-4[123]|ITI-57|ITI-6[12]|ITI-86|RAD-69|RAD-107", EMBEDDED, _EMBEDDED_DOMAIN),
        ("ITI-57|ITI-62|ITI-86|ITI-61", CLIENT, "Document Administrator (XDS Metadata Update, RMU)"),
        (
            "IHE MHD|ITI-6[5678]",
            CLIENT,
            "Document Source and Document Consumer (MHD), of servers that speak it",
        ),
        ("ITI-65|ITI-105|ITI-106", ANY, "Document Recipient (MHD)"),
        ("ITI-66|ITI-67|ITI-68", ANY, "Document Responder (MHD)"),
        ("RAD-68", ANY, "Document Recipient (MHD), of manifests (MADO)"),
        ("ITI-71|ITI-102", "authorisation server", "Authorization Server (IUA)"),
        ("ITI-71", CLIENT, "Authorization Client (IUA)"),
        ("ITI-72|ITI-102", ANY, "Resource Server (IUA)"),
        ("ITI-18|ITI-43", CLIENT, "Document Consumer (XDS.b)"),
        ("ITI-41", CLIENT, "Document Source (XDS.b)"),
        ("ITI-18", SERVER, "Document Registry, as Initiating Gateway (XDS.b, XCA)"),
        ("ITI-41|ITI-43", SERVER, "Document Repository, as Initiating Gateway (XDS.b, XCA)"),
        ("ITI-38|ITI-39", CLIENT, "Initiating Gateway (XCA)"),
        ("ITI-38|ITI-39", SERVER, "Responding Gateway (XCA)"),
        ("ITI-55", CLIENT, "Initiating Gateway (XCPD)"),
        ("ITI-55", SERVER, "Responding Gateway (XCPD)"),
        ("RAD-69|RAD-107|QIDO", CLIENT, "Imaging Document Consumer (XDS-I.b)"),
        ("RAD-69|RAD-107|QIDO", SERVER, "Imaging Document Source (XDS-I.b, MADO)"),
        ("RAD-75|RAD-160", CLIENT, "Initiating Imaging Gateway (XCA-I, XC-WADO)"),
        ("RAD-75|RAD-160", SERVER, "Responding Imaging Gateway (XCA-I, XC-WADO)"),
        ("Imaging manifest", ANY, "Content Creator and Content Consumer (MADO)"),
        (
            "Imaging resources|Patient|Imaging report resources",
            ANY,
            "Imaging Report Resource Access Provider (HL7 Europe)",
        ),
        ("Imaging report", ANY, "Imaging Document Access Provider (HL7 Europe)"),
        ("ITI-40", "X-Service User", "X-Service User (XUA)"),
        ("ITI-40", "X-Service Provider", "X-Service Provider (XUA)"),
        ("ITI-20", ANY, "Secure Application: audit records (ATNA, BALP)"),
        ("ITI-81", ANY, "Audit Record Repository, of what is kept here (ATNA)"),
        ("ITI-83|ITI-104", CLIENT, "Patient Identifier Cross-reference Consumer (PIXm)"),
        ("ITI-83|ITI-104", ANY, "Patient Identifier Cross-reference Manager (PIXm)"),
        ("ITI-78|ITI-119", CLIENT, "Patient Demographics Consumer (PDQm)"),
        ("ITI-78|ITI-119", ANY, "Patient Demographics Supplier (PDQm)"),
        ("ITI-45|ITI-47|ITI-9", CLIENT, "Patient Identifier Cross-reference Consumer (PIX, PDQ)"),
        ("FHIR R|SOAP", ANY, "All of them"),
    )
)


def actor_of(row: SupportedRow) -> str | None:
    """The actor that a row is about; None where no rule fits."""
    for rule in RULES:
        if re.match(rule.transactions, row.transaction) and (
            rule.side == ANY or row.option.startswith(rule.side)
        ):
            return rule.actor
    return None


def by_actor() -> Iterator[tuple[str, list[SupportedRow]]]:
    """Each actor with its rows, in the order of the rules."""
    for actor in dict.fromkeys(rule.actor for rule in RULES):
        rows = [row for row in SUPPORTED if actor_of(row) == actor]
        if rows:
            yield actor, rows


def conformance_page() -> str:
    """The page: a summary, and a table for each actor."""
    parts = ["# Conformance", WHAT_IT_SAYS, _summary()]
    for actor, rows in by_actor():
        lines = ["| transaction | option | supported | note |", "|---|---|---|---|"]
        lines += [f"| {r.transaction} | {r.option} | {r.supported} | {r.note} |" for r in rows]
        parts += [f"## {actor}", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def _summary() -> str:
    lines = ["| actor | transactions | in full |", "|---|---|---|"]
    for actor, rows in by_actor():
        named = re.findall(r"(?:ITI|RAD)-\d+", " ".join(row.transaction for row in rows))
        known = ", ".join(dict.fromkeys(named)) or "-"
        whole = "yes" if all(row.supported is Level.YES for row in rows) else "the notes say what is not"
        lines.append(f"| {actor} | {known} | {whole} |")
    return "\n".join(lines)
