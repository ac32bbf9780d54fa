"""A walk by what a patient is called elsewhere: the number of a hospital, or the Patient of the manager. The
gateway in front asks the patient manager of its affinity domain who that is (ITI-83, ITI-78).
"""

from gateway.demo.neighbours import Place
from gateway.demo.outside_client import OutsideClient, expect
from gateway.demo.walk import Walk


class HospitalWalk:
    """The steps."""

    def __init__(self, place: Place, client: OutsideClient, studies: set[str]) -> None:
        """`place` has the manager; `studies` are the UIDs of what the patient has everywhere."""
        self._place = place
        self._client = client
        self._studies = studies

    async def run(self, walk: Walk, needs: str) -> None:
        """Walk. `needs` is the step that finds the studies."""
        found = "the studies of all three communities are found by"
        await walk.step(f"{found} the number of a hospital (ITI-83)", self._by_number, needs=(needs,))
        await walk.step(f"{found} the Patient of the manager", self._by_reference, needs=(needs,))
        await walk.step("a number that nobody has finds nothing, and the answer says why", self._nobody)

    async def _by_number(self) -> None:
        number = self._place.hospital_number
        await self._found("patient.identifier", f"{number['system']}|{number['value']}")

    async def _by_reference(self) -> None:
        await self._found("patient", f"{self._place.domain_url}/patients/Patient/patient")

    async def _found(self, name: str, value: str) -> None:
        page = await self._client.search([(name, value)], resource="ImagingStudy")
        uids = {study["identifier"][0]["value"].removeprefix("urn:oid:") for study in page.matches}
        expect("studies", self._studies, uids)

    async def _nobody(self) -> None:
        token = f"{self._place.hospital_number['system']}|nobody"
        page = await self._client.search([("patient.identifier", token)], resource="ImagingStudy")
        expect("studies", [], list(page.matches))
        said = {issue["code"] for each in page.warnings for issue in each["issue"]}
        expect("codes of the outcome", {"not-found"}, said)
