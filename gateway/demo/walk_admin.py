"""Check of `gateway admin`: an update and a removal, as an operator makes them and as clients see them
(ITI TF-2 3.57, 3.62, 3.86).
"""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.demo.bundles import provide_bundle
from gateway.demo.outside_client import OutsideClient, Resource, expect, require
from gateway.demo.samples import IdSource
from gateway.demo.walk import Walk
from gateway.demo.walk_publish import Samples, response_entries

PUBLISHED = "publish a document to administer"
UPDATED = "gateway admin updates the metadata of a document"
REMOVED = "gateway admin removes a document"
_SECONDS = 60
_TITLE = "Corrected title"


@dataclass(frozen=True, slots=True)
class AdminCommand:
    """`gateway admin` as a process with the settings of a gateway, given as its environment."""

    environment: Mapping[str, str]

    async def __call__(self, *arguments: str) -> str:
        """What it prints. Raises MismatchError where it exits with anything but 0."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "admin", *arguments),
            env=dict(self.environment),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), _SECONDS)
        expect(f"exit code of gateway admin {arguments[0]} ({err.decode().strip()})", 0, process.returncode)
        return out.decode()


class AdminWalk:
    """Steps with a patient and a document of their own."""

    def __init__(self, client: OutsideClient, samples: Samples, admin: AdminCommand) -> None:
        self._client = client
        self._admin = admin
        patient = samples.content.patient
        self._patient = replace(patient, id=f"{patient.id}-ADMIN")
        self._document = replace(samples.note, unique_id=IdSource(self._patient.id).oid(2))
        self._before: Resource = {}

    async def run(self, walk: Walk) -> None:
        """All steps."""
        await walk.step(PUBLISHED, self._publish)
        await walk.step("gateway admin changes nothing without --yes", self._dry_run, needs=(PUBLISHED,))
        await walk.step(UPDATED, self._update, needs=(PUBLISHED,))
        await walk.step(
            "an updated document has its id and its bytes as before", self._same_document, needs=(UPDATED,)
        )
        await walk.step("gateway admin lists the versions of a document", self._versions, needs=(UPDATED,))
        await walk.step(
            "gateway admin deprecates a document and approves it", self._status, needs=(PUBLISHED,)
        )
        await walk.step(REMOVED, self._remove, needs=(PUBLISHED,))
        await walk.step("a removed document is gone from searches and URLs", self._gone, needs=(REMOVED,))

    async def _found(self, status: str) -> list[Resource]:
        parameters = [("patient.identifier", self._patient.token), ("status", status)]
        return list((await self._client.search(parameters)).matches)

    async def _publish(self) -> None:
        bundle = provide_bundle([self._document], patient=self._patient)
        response_entries(await self._client.publish(bundle), bundle)
        (self._before,) = await self._found("current")

    async def _dry_run(self) -> None:
        for command in (["deprecate"], ["remove"], ["update", "--set", f"title={_TITLE}"]):
            said = await self._admin(command[0], self._before["id"], *command[1:])
            require(f"{command[0]} says that nothing was changed", "nothing was changed" in said)
        expect("documents after that", [self._before], await self._found("current"))

    async def _update(self) -> None:
        restricted = "confidentiality=R^restricted^2.16.840.1.113883.5.25"
        said = await self._admin(
            "update", self._before["id"], "--set", f"title={_TITLE}", "--set", restricted, "--yes"
        )
        require("no patient id is printed", self._patient.id not in said)
        (after,) = await self._found("current")
        attachment = after["content"][0]["attachment"]
        expect("title", _TITLE, attachment["title"])
        expect("security label", "R", after["securityLabel"][0]["coding"][0]["code"])
        for name in ("type", "category", "subject", "masterIdentifier"):
            expect(name, self._before[name], after[name])

    async def _same_document(self) -> None:
        (found,) = await self._found("current")
        expect("id", self._before["id"], found["id"])
        url = f"{self._client.base_url}/DocumentReference/{found['id']}"
        read = (await self._client.request("GET", url)).expect_status(200).json()
        expect("the resource that is read", found, read)
        for reference in (self._before, found):
            answer = await self._client.request("GET", reference["content"][0]["attachment"]["url"])
            expect("bytes", self._document.content, answer.expect_status(200).body)

    async def _versions(self) -> None:
        said = await self._admin("show", self._before["id"])
        versions = [line for line in said.splitlines() if line.startswith("version ")]
        expect("number of versions", 2, len(versions))
        require("the second is current", versions[1].endswith("approved, current"))

    async def _status(self) -> None:
        await self._admin("deprecate", self._before["id"], "--yes")
        expect("current documents", [], await self._found("current"))
        (superseded,) = await self._found("superseded")
        expect("id", self._before["id"], superseded["id"])
        await self._admin("approve", self._before["id"], "--yes")
        expect("superseded documents", [], await self._found("superseded"))

    async def _remove(self) -> None:
        said = await self._admin("remove", self._before["id"], "--yes")
        require("the document is named", f"removes document {self._document.unique_id}" in said)

    async def _gone(self) -> None:
        expect("documents", [], await self._found("current,superseded"))
        read = f"{self._client.base_url}/DocumentReference/{self._before['id']}"
        (await self._client.request("GET", read)).expect_status(404)
        url = self._before["content"][0]["attachment"]["url"]
        (await self._client.request("GET", url)).expect_status(410)
