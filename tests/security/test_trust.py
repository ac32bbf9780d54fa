"""Whose signatures are believed where revocation lists say something of signers and of authorities."""

import time

import pytest
from cryptography import x509

from gateway.security.trust import TrustedIssuer, signing_certificates
from tests.certificates import Authority

HOUR = 3600.0
NAME = "urn:idp"


def believed(anchors, lists, shown=(), *, names=(), at=0.0):
    """Certificates that may have signed, so many seconds from now."""
    loaded = tuple(x509.load_pem_x509_crl(each) for each in lists)
    trusted = TrustedIssuer(NAME, lambda: tuple(anchors), frozenset(names), revocations=lambda: loaded)
    return signing_certificates(trusted, shown, time.time() + at)


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


def test_a_signer_that_was_revoked_stays_so_when_the_list_ends():
    authority = Authority()
    pinned, other = (authority.certify(name) for name in ("pinned", "other"))
    anchors = [pinned.certificate, other.certificate, authority.certificate]
    lists = [authority.revocations(pinned, days=(-1, 1))]
    for at in (0.0, 25 * HOUR):
        found = believed(anchors, lists, at=at)
        assert pinned.certificate not in found, at
        assert other.certificate in found, "what is named in the settings needs no list"
    assert pinned.certificate in believed(anchors, [authority.revocations(days=(-1, 1))], at=25 * HOUR)


def test_a_list_that_has_ended_speaks_against_a_certificate_and_for_none():
    authority = Authority()
    first, second = (authority.certify("signer", NAME) for _ in range(2))
    ended, current = authority.revocations(first, days=(-2, -1)), authority.revocations()

    def certified(one, *lists):
        found = believed([authority.certificate], lists, [one.certificate], names=[NAME])
        return found == [one.certificate]

    assert certified(first, current)
    assert not certified(first, current, ended)
    assert certified(second, current, ended)
    assert not certified(second, ended)


def test_lists_of_who_only_calls_itself_so_speak_against_nobody():
    authority = Authority()
    pinned = authority.certify("pinned")
    forged = Authority().revocations(pinned, days=(-2, -1))
    assert pinned.certificate in believed([pinned.certificate, authority.certificate], [forged])
