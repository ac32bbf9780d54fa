"""The RAD-69 endpoint of a whole gateway."""

import pytest

from gateway.ebxml.imaging_retrieve import write_imaging_request
from gateway.ebxml.retrieve import read_retrieve_response
from gateway.model import ImageRequest, ImageSetRequest, ResponseStatus
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from tests.system.stack import running_stack

IMAGE = ImageRequest("2.999.20.1", "2.999.5", "2.999.5.1", "2.999.5.1.1")


async def test_an_image_of_no_known_manifest_is_refused(tmp_path):
    body = write_imaging_request(ImageSetRequest((IMAGE,), ("1.2.840.10008.1.2.1",)))
    async with running_stack(tmp_path) as stack, SoapClient(load_contract()) as soap:
        url = stack.base_url.removesuffix("/fhir") + "/xds/imaging"
        answer = read_retrieve_response(await soap.call(Peer("gateway", url), "RAD-69", body))
    assert answer.status is ResponseStatus.FAILURE
    assert [(e.code, e.location) for e in answer.errors] == [
        ("XDSDocumentUniqueIdError", IMAGE.sop_instance_uid)
    ]


@pytest.mark.parametrize(("served", "status"), [(True, 405), (False, 404)])
async def test_it_is_there_where_it_is_wanted(tmp_path, served, status):
    async with running_stack(tmp_path, imaging={"rad69_server": served}) as stack:
        url = stack.base_url.removesuffix("/fhir") + "/xds/imaging"
        async with stack.session.get(url) as answer:
            assert answer.status == status
