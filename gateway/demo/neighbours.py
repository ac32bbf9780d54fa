"""Three communities on one machine, each an affinity domain in a process of its own: one that the gateway in
front has itself (XDS.b), one behind a responding gateway (XCA, XCA-I, XCPD), and one that speaks MHD and
WADO-RS alone.
"""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.demo.access import CLIENT_ID, DemoClient
from gateway.demo.children import Child
from gateway.demo.content import SampleContent, sample_content
from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION
from gateway.demo.samples import CLASS_CODES_BY_TYPE, DOCUMENT_DEFAULTS, SOURCE_ID

COUNT = 3
DEADLINE = 5.0
"""Seconds that the gateway in front leaves to each community."""
HOME = "urn:oid:2.999.60"
HOSPITAL = "https://hospital.example/patients"
"""System of the numbers that a hospital in front has for its patients."""
_HOST = "127.0.0.1"
_READY_SECONDS, _END_SECONDS = 60.0, 10.0


@dataclass
class Place:
    """One community: what it holds, and the processes that it is made of."""

    number: int
    folder: Path
    content: SampleContent
    environment: dict[str, str]
    domain: Child | None = None
    gateway: Child | None = None
    base_url: str = ""
    domain_url: str = ""
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> str:
        """Its homeCommunityId."""
        return f"{HOME}.{self.number}"

    @property
    def root(self) -> str:
        """URL of its gateway."""
        return self.base_url.removesuffix("/fhir")

    @property
    def images(self) -> Path:
        """The folder with the folders of its locations."""
        return self.folder / "images"

    def start_domain(self) -> str:
        """Start its affinity domain and return its URL. Raises ChildError."""
        self.content.images.write(self.images)
        arguments = ["affinity", "--port", "0", "--state-dir", str(self.folder / "affinity")]
        arguments += ["--repository-unique-id", self.repository]
        for option, location in (("--images-rad69", FIRST_LOCATION), ("--images-wado", SECOND_LOCATION)):
            arguments += [option, f"{location}={self.images / location}"]
        arguments += ["--images-wado", f"{self.everything}={self.images}"]
        if self.has_patients:
            self._write_patient()
            arguments += ["--patients", str(self.folder / "patients")]
        name = f"the affinity domain of community {self.number}"
        self.domain = Child(name, arguments, self.environment, self.folder / "affinity.log")
        return self.domain.wait_until_ready(_READY_SECONDS)

    @property
    def repository(self) -> str:
        """The repositoryUniqueId of its repository."""
        return f"2.999.60.10.{self.number}"

    @property
    def has_patients(self) -> bool:
        """Whether its affinity domain has a patient manager."""
        return self.number == 1

    @property
    def hospital_number(self) -> dict[str, str]:
        """The Identifier by which a hospital knows the patient."""
        return {"system": HOSPITAL, "value": f"H-{self.content.patient.id}"}

    def _write_patient(self) -> None:
        """What the manager knows: names, birth, and the identifiers of both domains."""
        patient = self.content.patient.resource("patient")
        patient["identifier"] = [self.content.patient.identifier, self.hospital_number]
        folder = self.folder / "patients"
        folder.mkdir(exist_ok=True)
        (folder / "patient.json").write_text(json.dumps(patient), "utf-8")

    @property
    def everything(self) -> str:
        """A location that has all of its images."""
        return f"2.999.60.20.{self.number}"

    def start_gateway(self, port: int = 0) -> None:
        """Start its gateway. Raises ChildError."""
        environment = {**self.environment, **self.settings, "GATEWAY_SERVER__PORT": str(port)}
        name = f"the gateway of community {self.number}"
        self.gateway = Child(name, ["serve"], environment, self.folder / "gateway.log")
        self.base_url = self.gateway.wait_until_ready(_READY_SECONDS)

    def restart_gateway(self, *, without_redis: bool) -> None:
        """End its gateway and start it again at the same address."""
        self.end_gateway()
        if without_redis:
            shutil.rmtree(self.folder / "gateway" / "redis")
        self.start_gateway_again()

    def start_gateway_again(self) -> None:
        """Start its gateway at the address that it had. Raises ChildError."""
        self.start_gateway(urlsplit(self.base_url).port or 0)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Its gateway takes connections and does nothing."""
        assert self.gateway is not None
        self.gateway.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.gateway.signal(signal.SIGCONT)

    def kill_gateway(self) -> None:
        """End its gateway at once."""
        assert self.gateway is not None
        self.gateway.kill()

    def kill_domain(self) -> None:
        """End its affinity domain at once."""
        assert self.domain is not None
        self.domain.kill()

    def require_running(self) -> None:
        """Raise ChildError where one of its processes has ended."""
        for child in (self.domain, self.gateway):
            if child is not None:
                child.require_running()

    @property
    def pid(self) -> int:
        """Process id of its gateway."""
        assert self.gateway is not None
        return self.gateway.pid

    def end_gateway(self) -> None:
        """End its gateway."""
        if self.gateway is not None:
            self.gateway.end(_END_SECONDS)

    def end(self) -> None:
        """End all of it."""
        self.end_gateway()
        if self.domain is not None:
            self.domain.end(_END_SECONDS)


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """The communities, the one in front first, and the client that all of them know."""

    places: tuple[Place, ...]
    client: DemoClient
    bridges: dict[int, str] = field(default_factory=dict)

    @property
    def front(self) -> Place:
        """The community of the gateway in front."""
        return self.places[0]

    @contextmanager
    def bridge(self, place: Place) -> Iterator[None]:
        """Start a responding gateway before a community that speaks MHD alone. Raises ChildError."""
        server = {**_mhd_server(place, self.client), "repository_unique_id": place.repository}
        settings = {
            "GATEWAY_STATE_DIR": str(place.folder / "bridge"),
            "GATEWAY_HOME_COMMUNITY_ID": place.home,
            "GATEWAY_SERVER__HOST": _HOST,
            "GATEWAY_SERVER__PORT": "0",
            "GATEWAY_MHD_DOMAIN": json.dumps(server),
            "GATEWAY_RESPONDING_GATEWAY__ENABLED": "true",
            "GATEWAY_SECURITY": json.dumps(self.client.settings()),
            "GATEWAY_LOG__LEVEL": "warning",
        }
        name = f"the responding gateway before community {place.number}"
        child = Child(name, ["serve"], {**place.environment, **settings}, place.folder / "bridge.log")
        try:
            self.bridges[place.number] = child.wait_until_ready(_READY_SECONDS).removesuffix("/fhir")
            yield
        finally:
            child.end(_END_SECONDS)

    def responding(self, place: Place) -> str:
        """URL of the responding gateway of a community."""
        return self.bridges.get(place.number, place.root)

    @property
    def children(self) -> list[Child]:
        """The processes."""
        return [child for place in self.places for child in (place.domain, place.gateway) if child]


@contextmanager
def neighbourhood(state_dir: Path, port: int, seed: str, patient: str, log: str) -> Iterator[Neighbourhood]:
    """Start everything. Raises ChildError."""
    state_dir = state_dir.resolve()
    state_dir.mkdir(parents=True, exist_ok=True)
    client = DemoClient(state_dir)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    places = tuple(
        Place(n, state_dir / f"community-{n}", sample_content(f"{seed} community {n}", patient), environment)
        for n in range(1, COUNT + 1)
    )
    with ExitStack() as stack:
        # the one in front has to know where the others are
        for place in reversed(places):
            place.folder.mkdir(parents=True, exist_ok=True)
            stack.callback(place.end)
            domain_url = place.start_domain()
            place.settings = _settings(place, domain_url, client, log)
            if place is places[0]:
                place.settings["GATEWAY_COMMUNITIES"] = json.dumps(
                    [_by_xca(places[1]), _by_mhd(places[2], client)]
                )
                place.settings["GATEWAY_XDS_SERVER__ENABLED"] = "true"
                place.settings["GATEWAY_CONSOLE__ENABLED"] = "true"
                place.settings["GATEWAY_IMAGING__RAD69_SERVER"] = "true"
                manager = {"base_url": f"{domain_url}/patients", "domain": place.content.patient.authority}
                place.settings["GATEWAY_PATIENT_MANAGER"] = json.dumps(manager)
            if place is places[2]:
                # who speaks MHD alone need not know what others call its community
                del place.settings["GATEWAY_HOME_COMMUNITY_ID"]
            else:
                place.settings["GATEWAY_RESPONDING_GATEWAY__ENABLED"] = "true"
            place.domain_url = domain_url
            place.start_gateway(port if place is places[0] else 0)
        yield Neighbourhood(places, client)


def _settings(place: Place, domain_url: str, client: DemoClient, log: str) -> dict[str, str]:
    repository = {"unique_id": place.repository, "url": f"{domain_url}/xds/repository"}
    locations = [
        {"uid": FIRST_LOCATION, "protocol": "rad-69", "url": f"{domain_url}/xds/imaging"},
        {"uid": SECOND_LOCATION, "protocol": "wado-rs", "url": f"{domain_url}/dicomweb/{SECOND_LOCATION}"},
    ]
    publish = {"source_id": SOURCE_ID, "defaults": DOCUMENT_DEFAULTS, "class_codes": CLASS_CODES_BY_TYPE}
    return {
        "GATEWAY_STATE_DIR": str(place.folder / "gateway"),
        "GATEWAY_HOME_COMMUNITY_ID": place.home,
        "GATEWAY_SERVER__HOST": _HOST,
        "GATEWAY_REGISTRY__URL": f"{domain_url}/xds/registry",
        "GATEWAY_REPOSITORIES": json.dumps([repository]),
        "GATEWAY_IMAGING__LOCATIONS": json.dumps(locations),
        "GATEWAY_PUBLISH": json.dumps(publish),
        "GATEWAY_SECURITY": json.dumps(client.settings()),
        "GATEWAY_LOG__LEVEL": log,
    }


def _by_xca(place: Place) -> dict[str, Any]:
    return {
        "home_community_id": place.home,
        "name": f"community {place.number}",
        "query_url": f"{place.root}/xca/gateway",
        "images_url": f"{place.root}/xca-i/imaging",
        "patients_url": f"{place.root}/xca/patients",
        "deadline": DEADLINE,
        "max_attempts": 1,
    }


def _by_mhd(place: Place, client: DemoClient) -> dict[str, Any]:
    return {
        "home_community_id": place.home,
        "name": f"community {place.number}",
        "mhd": _mhd_server(place, client),
        "deadline": DEADLINE,
    }


def _mhd_server(place: Place, client: DemoClient) -> dict[str, Any]:
    return {
        "base_url": place.base_url,
        "dicomweb_url": f"{place.domain_url}/dicomweb/{place.everything}",
        "access": {"client_id": CLIENT_ID, "key_file": str(client.key_file)},
    }
