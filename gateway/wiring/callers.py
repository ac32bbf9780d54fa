"""Who may call a SOAP service: by the certificate of the client, which is bound to its community, and by the
assertion in the request.
"""

import structlog
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from lxml.etree import _Element

from gateway.community_settings import CommunitySettings
from gateway.security.policy import Policy
from gateway.security.subjects import refused_node
from gateway.security.trust import names_of
from gateway.settings import Settings
from gateway.soap.envelope import SoapFault
from gateway.soap.server import Admission, Admit, admit_everyone
from gateway.soap.via import read_via
from gateway.wiring.assertions_in import AssertionsIn, client_certificate, unknown_callers

_BOUND = ("/xca/", "/xca-i/")

log = structlog.get_logger()


def admission(
    settings: Settings, path: str, assertions: AssertionsIn | None, policy: Policy | None = None
) -> Admit:
    """Decides who may call the service at `path`, and has the `policy` decide what is given."""
    bound = [each for each in settings.communities if each.client_certificates]
    if not bound or not path.startswith(_BOUND):
        if assertions is not None:
            return assertions.admission(path)
        if settings.security.effective_access == "token":
            log.critical("security.open_service", warning="WHOEVER REACHES THIS IS ANSWERED", path=path)
        return admit_everyone if policy is None else unknown_callers(policy)

    async def admit(
        request: web.Request, root: _Element, header: _Element | None, transaction: str
    ) -> Admission:
        community = _community(client_certificate(request), bound)
        through = read_via(header)
        if through and through[-1] not in community.homes:
            raise _not_known("the request comes through another community than its certificate")
        if assertions is not None:
            inner = assertions.admission(path, frozenset(community.homes))
        else:
            inner = admit_everyone if policy is None else unknown_callers(policy)
        return await inner(request, root, header, transaction)

    return admit


def _community(certificate: bytes | None, bound: list[CommunitySettings]) -> CommunitySettings:
    if certificate is not None:
        shown = x509.load_der_x509_certificate(certificate)
        names = names_of(shown) | {shown.fingerprint(SHA256()).hex()}
        for community in bound:
            if names.intersection(map(_comparable, community.client_certificates)):
                return community
    raise _not_known("the client certificate is not that of a community that may ask here")


def _not_known(reason: str) -> SoapFault:
    refused_node(reason)
    return SoapFault("Sender", reason)


def _comparable(text: str) -> str:
    """A fingerprint as hex digits alone; other names as they are."""
    digits = text.replace(":", "").lower()
    return digits if len(digits) == 64 and set(digits) <= set("0123456789abcdef") else text
