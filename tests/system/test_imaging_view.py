"""What the settings say of how imaging documents are shown: custodians by community, modalities in one extension."""

import pytest

from gateway.dicom.kos_writer import write_kos
from gateway.model import Code, Organization
from gateway.model import imaging_codes as imaging
from gateway.settings import Settings
from gateway.wiring.imaging import imaging_view
from tests.dicom.samples import DCM, group_case

from .documents import a_patient
from .manifests import legacy_entry, register
from .stack import REPOSITORY, running_stack

REGION = {"name": "Region North", "oid": "2.999.1.9"}
HOME = "urn:oid:2.999.60.1"


@pytest.mark.parametrize("community", [None, HOME])
async def test_custodian_and_modalities_are_shown_as_the_settings_say(tmp_path, community):
    patient, manifest = a_patient(), group_case()
    content = write_kos(manifest)
    events = (Code("CT", DCM, "CT"), Code("KO", DCM, "KO"))
    entry = legacy_entry(patient, content, manifest.sop_instance_uid, event_codes=events)
    settings = {"custodian": REGION, "one_modality": True}
    home = {"home_community_id": community} if community else {}
    async with running_stack(tmp_path, community=community, imaging=settings, **home) as stack:
        await register(stack, (entry, content))
        found = await stack.find(patient__identifier=patient.token, status="current")
        assert len(found) == 2
        for shown in found:
            _, read = await stack.get(f"DocumentReference/{shown['id']}")
            for resource in (shown, read):
                name = resource["custodian"]["reference"].removeprefix("#")
                (custodian,) = [c for c in resource["contained"] if c["id"] == name]
                assert custodian["name"] == "Region North"
                assert custodian["identifier"][0]["value"] == "urn:oid:2.999.1.9"
                (modalities,) = [
                    e for e in resource["extension"] if e["url"] == imaging.EXT_DOCUMENT_MODALITY
                ]
                assert [c["code"] for c in modalities["valueCodeableConcept"]["coding"]] == ["CT", "KO"]


def test_each_community_has_its_own_custodian(tmp_path):
    other = {"home_community_id": "2.999.60.2", "name": "b", "query_url": "https://b.example/query"}
    settings = Settings(
        state_dir=tmp_path,
        home_community_id=HOME,
        registry={"url": "https://a.example/registry"},
        repositories=[{"unique_id": REPOSITORY, "url": "https://a.example/repository"}],
        imaging={"custodian": REGION},
        communities=[
            {**other, "custodian": {"name": "Country B"}, "further_home_community_ids": ["2.999.60.3"]},
            {**other, "home_community_id": "2.999.60.4", "name": "c"},
        ],
    )
    own, country_b = Organization("Region North", "2.999.1.9"), Organization("Country B")
    assert imaging_view(settings).custodians == {
        None: own,
        HOME: own,
        "urn:oid:2.999.60.2": country_b,
        "urn:oid:2.999.60.3": country_b,
    }
