"""Every SOAP envelope that is written in this process, by clients and servers of any kind, held against the
published schemas: those of HL7 for XCPD, those of ebXML and IHE for everything else."""

from collections import Counter
from contextlib import contextmanager
from functools import cache

import pytest
from lxml import etree

from gateway.ebxml.names import XOP_INCLUDE
from gateway.model.codes import NS_SOAP12, NS_WSA
from gateway.soap import client, envelope, replies
from tests.ebxml.conftest import ORACLE

HL7 = "urn:hl7-org:v3"
FAULT = f"{{{NS_SOAP12}}}Fault"


class Written:
    """What was written, by Action and body element, and what is not valid of it."""

    def __init__(self):
        self.counted = Counter()
        self.invalid = []

    def take(self, content):
        root = etree.fromstring(content)
        action = root.find(f"{{{NS_SOAP12}}}Header/{{{NS_WSA}}}Action").text.strip()
        (body,) = root.find(f"{{{NS_SOAP12}}}Body")
        self.counted[action, etree.QName(body).localname] += 1
        if body.tag == FAULT:
            return
        for included in list(body.iter(XOP_INCLUDE)):
            included.getparent().remove(included)
        for document in body.iter("{*}Document"):
            # where base64 text goes when the message is sent
            if (document.text or "").startswith("@"):
                document.text = None
        for schema in _schemas_of(etree.QName(body)):
            # as it is on the wire
            if not schema.validate(etree.fromstring(etree.tostring(body))):
                self.invalid.append(f"{action}: {schema.error_log.last_error.message}")

    @property
    def actions(self):
        """The Actions of all messages."""
        return {action for action, _ in self.counted}


def _schemas_of(name):
    if name.namespace == HL7:
        yield _schema(f"xsd-hl7v3/multicacheschemas/{name.localname}.xsd")
    else:
        yield _schema("all.xsd")


@cache
def _schema(path):
    return etree.XMLSchema(file=str(ORACLE / path))


@contextmanager
def watching(monkeypatch):
    """What is written from here on."""
    if not (ORACLE / "all.xsd").exists():
        pytest.skip("the published schemas are not here")
    written, write = Written(), envelope.write_envelope

    def watched(body, **arguments):
        content = write(body, **arguments)
        written.take(content)
        return content

    with monkeypatch.context() as patch:
        for module in (client, envelope, replies):
            patch.setattr(module, "write_envelope", watched)
        yield written
