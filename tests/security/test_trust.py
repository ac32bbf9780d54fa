"""Whose signatures are believed where revocation lists say something of signers and of authorities."""

import time

import pytest
from cryptography import x509

from gateway.security.trust import TrustedIssuer, signing_certificates
from tests.certificates import Authority

NAME = "urn:idp"


def believed(anchors, lists, shown=(), *, names=()):
    """Certificates that may have signed."""
    loaded = tuple(x509.load_pem_x509_crl(each) for each in lists)
    trusted = TrustedIssuer(NAME, lambda: tuple(anchors), frozenset(names), revocations=lambda: loaded)
    return signing_certificates(trusted, shown, time.time())


@pytest.mark.parametrize("order", [1, -1])
def test_an_authority_that_its_root_has_revoked_certifies_nobody_though_it_is_named_itself(order):
    root = Authority("root")
    sub, other = root.subordinate("sub"), root.subordinate("other")
    signer, sibling = (each.certify("signer", NAME) for each in (sub, other))
    anchors = [root.certificate, sub.certificate, other.certificate][::order]

    def certified(one, above, *revoked):
        lists = [root.revocations(*revoked), sub.revocations(), other.revocations()]
        [alone, with_its_authority] = (
            believed(anchors, lists, shown, names=[NAME]) == [one.certificate]
            for shown in ([one.certificate], [one.certificate, above.certificate])
        )
        assert alone == with_its_authority
        return alone

    assert certified(signer, sub)
    assert not certified(signer, sub, sub)
    assert certified(sibling, other, sub)
