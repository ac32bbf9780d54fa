"""Shapes of assertions that no toolkit writes and that are not looked at further."""

import pytest
from lxml import etree

from gateway.security.assertion_shape import AssertionRefused, check_shape
from tests.security.assertions import DS, signed, text

INCLUDE = "<xop:Include xmlns:xop='http://www.w3.org/2004/08/xop/include' href='cid:a@b'/>"


def shape(assertion):
    check_shape(etree.fromstring(assertion))


def test_a_signed_assertion_has_the_shape():
    shape(signed())


@pytest.mark.parametrize(
    ("assertion", "kind"),
    [
        (lambda: signed(name_id=INCLUDE), "InvalidSecurityToken"),
        (lambda: signed(identifier="two words"), "InvalidSecurityToken"),
        (
            lambda: signed().replace("<saml:Issuer>", "<saml:Issuer>a</saml:Issuer><saml:Issuer>", 1),
            "InvalidSecurityToken",
        ),
        (
            lambda: (
                signed().replace("<saml:NameID>", "<saml:NameID Id='ID'>").replace("Id='ID'", f"Id='{ID}'")
            ),
            None,
        ),
        (
            lambda: signed(identifier=ID).replace("<saml:NameID>", f"<saml:NameID Id='{ID}'>"),
            "InvalidSecurityToken",
        ),
        (
            lambda: signed().replace("<ds:SignatureValue>", "<ds:Reference URI=''/><ds:SignatureValue>"),
            "FailedCheck",
        ),
        (
            lambda: signed().replace("</ds:KeyInfo>", f"<ds:Manifest xmlns:ds='{DS}'/></ds:KeyInfo>"),
            "FailedCheck",
        ),
        (text, "FailedCheck"),
    ],
)
def test_other_shapes_are_refused(assertion, kind):
    if kind is None:
        shape(assertion())
        return
    with pytest.raises(AssertionRefused) as refused:
        shape(assertion())
    assert refused.value.kind == kind


ID = "_an-id-of-its-own"
