"""CDA documents for tests: one header with everything that is read, to be changed by each test."""

FULL = """<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:ps3-20="urn:dicom-org:ps3-20"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
  <templateId root="1.2.840.10008.9.1"/>
  <templateId root="1.3.6.1.4.1.19376.1.5.3.1.1.4"/>
  <templateId root="2.999.8.1" extension="2015-08-01"/>
  <id root="2.999.8.2" extension="DOC-1"/>
  <code code="18842-5" codeSystem="2.16.840.1.113883.6.1" displayName="Discharge summary"/>
  <title>  Discharge
     summary </title>
  <effectiveTime value="20240131233000+0100"/>
  <confidentialityCode code="R"/>
  <languageCode code="de-AT"/>
  <recordTarget><patientRole>
    <id nullFlavor="UNK"/>
    <id root="2.999.8.3" extension="MRN-1"/>
    <id root="2.999.8.4" extension="NAT-1"/>
    <addr use="H"><streetName>Example Street</streetName><houseNumber>1</houseNumber>
      <postalCode>1010</postalCode><city>Wien</city><country>AT</country></addr>
    <patient>
      <name><prefix>Dr.</prefix><given>Eva</given><given>Maria</given><family>Muster</family></name>
      <administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/>
      <birthTime value="19610203"/>
    </patient>
  </patientRole></recordTarget>
  <author>
    <functionCode code="221" codeSystem="2.999.8.5" displayName="Doctor"/>
    <time value="20240131"/>
    <assignedAuthor>
      <id root="2.999.8.6" extension="S-1"/>
      <code displayName="Pneumology" nullFlavor="OTH"/>
      <telecom value="mailto:welby@hospital.example" use="WP"/>
      <assignedPerson><name><given>Marcus</given><family>Welby</family></name></assignedPerson>
      <representedOrganization>
        <id root="2.999.8.7"/><name>Example Hospital</name>
        <standardIndustryClassCode code="394802001" codeSystem="2.16.840.1.113883.6.96"
            displayName="General medicine"/>
      </representedOrganization>
    </assignedAuthor>
  </author>
  <author>
    <time value="20240131"/>
    <assignedAuthor>
      <id nullFlavor="NA"/>
      <assignedAuthoringDevice><softwareName>Report writer</softwareName></assignedAuthoringDevice>
    </assignedAuthor>
  </author>
  <custodian><assignedCustodian><representedCustodianOrganization>
    <id root="2.999.8.8"/><name>Archive</name>
  </representedCustodianOrganization></assignedCustodian></custodian>
  <legalAuthenticator>
    <time value="20240201"/><signatureCode code="S"/>
    <assignedEntity><id root="2.999.8.6" extension="S-2"/>
      <assignedPerson><name><given>Leo</given><family>Signer</family></name></assignedPerson>
    </assignedEntity>
  </legalAuthenticator>
  <inFulfillmentOf><order>
    <id root="2.999.8.9" extension="ORD-1"/>
    <id root="2.999.8.10" extension="ACC-1"/>
    <ps3-20:accessionNumber root="2.999.8.11" extension="ACC-2"/>
  </order></inFulfillmentOf>
  <documentationOf><serviceEvent>
    <id root="1.2.3.4.5"/>
    <code code="CT" codeSystem="1.2.840.10008.2.16.4" displayName="Computed Tomography"/>
    <effectiveTime><low value="20240120"/><high value="202401311500+0100"/></effectiveTime>
  </serviceEvent></documentationOf>
  <documentationOf><serviceEvent>
    <code code="51185008" codeSystem="2.16.840.1.113883.6.96"/>
    <effectiveTime value="20240125"/>
  </serviceEvent></documentationOf>
  <componentOf><encompassingEncounter>
    <id root="2.999.8.12" extension="STAY-1"/>
    <effectiveTime value="20240120"/>
    <location><healthCareFacility>
      <code code="22232009" codeSystem="2.16.840.1.113883.6.96" displayName="Hospital"/>
    </healthCareFacility></location>
  </encompassingEncounter></componentOf>
  <component><structuredBody><component><section><text>Well.</text></section></component></structuredBody></component>
</ClinicalDocument>
"""


def changed(*pairs: tuple[str, str]) -> bytes:
    """FULL with each first text of a pair, which has to be in it, replaced by the second."""
    text = FULL
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text.encode()
