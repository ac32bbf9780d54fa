"""The clients of SOAP and DICOMweb peers, with what they say of who asks and with TLS."""

from collections.abc import Callable, Mapping

from gateway.clients.dicomweb import DicomWebClient, RecordRetrieve
from gateway.clients.dicomweb import unrecorded as unrecorded_retrieve
from gateway.settings import Settings
from gateway.soap.client import SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.observed import Record, unrecorded
from gateway.soap.resilience import CallObserver, unobserved
from gateway.wiring.assertions import AssertionKeyError, security_header
from gateway.wiring.start import StartError
from gateway.wiring.tls import check_client_tls, usual_tls


def soap_client(
    settings: Settings,
    *,
    observe: CallObserver = unobserved,
    headers: Callable[[], Mapping[str, str]] = dict,
    record: Record = unrecorded,
) -> SoapClient:
    """The client of SOAP peers. Raises StartError."""
    check_client_tls(settings)
    try:
        security = security_header(settings)
    except AssertionKeyError as error:
        raise StartError(str(error)) from None
    return SoapClient(
        load_contract(),
        tls=usual_tls(settings),
        observe=observe,
        headers=headers,
        security=security,
        record=record,
    )


def dicomweb_client(
    settings: Settings,
    *,
    observe: CallObserver = unobserved,
    headers: Callable[[], Mapping[str, str]] = dict,
    record: RecordRetrieve = unrecorded_retrieve,
) -> DicomWebClient:
    """The client of DICOMweb archives."""
    return DicomWebClient(usual_tls(settings), observe=observe, headers=headers, record=record)
