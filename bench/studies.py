"""ImagingStudy and QIDO-RS over 100 manifests: milliseconds and calls of the domain, cold and warm.

Cold is the first search of a gateway that has just started with an empty store, warm are those after it.
ITI-67 over the same entries is beside them in the same run.
"""

import json
import statistics
import time
import urllib.request
from urllib.parse import urlencode

from bench import report
from bench.processes import REPOSITORY, Child, child, gateway
from bench.sample import PATIENT

MANIFESTS, INSTANCES = 100, 50
_WARM = 8
_TOKEN = f"urn:oid:{PATIENT.authority}|{PATIENT.id}"
_OF_PATIENT = urlencode({"patient.identifier": _TOKEN, "status": "current", "_count": MANIFESTS})
_STUDIES = urlencode({"patient.identifier": _TOKEN, "_count": MANIFESTS})
_DICOM = urlencode({"PatientID": PATIENT.id, "IssuerOfPatientID": PATIENT.authority})
_SEARCHES = {
    "ITI-67": f"DocumentReference?{_OF_PATIENT}",
    "ImagingStudy": f"ImagingStudy?{_STUDIES}",
    "ImagingStudy, by modality": f"ImagingStudy?{_STUDIES}&modality=CT",
    "QIDO-RS studies": f"dicomweb/studies?{_DICOM}",
    "QIDO-RS instances": f"dicomweb/instances?{_DICOM}",
}
_COLD = "ImagingStudy"


class _Search:
    def __init__(self) -> None:
        self.times: list[float] = []
        self.calls: dict[str, int] = {}
        self.size = 0
        self.blocked = 0.0


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        body: bytes = answer.read()
    return body


def _ask(running: Child, peer: Child, path: str, search: _Search) -> None:
    _get(f"{peer.url}/calls")
    running.ask()
    started = time.perf_counter()
    body = _get(f"{running.url}/{path}")
    search.times.append((time.perf_counter() - started) * 1000)
    search.size = len(body)
    search.blocked = max(search.blocked, running.ask()["blocked_ms"])
    search.calls = json.loads(_get(f"{peer.url}/calls"))


def run(starts: int) -> None:
    """Ask a fresh gateway after each of `starts`: the cold search, then each of the searches in turns."""
    cold, warm = _Search(), {name: _Search() for name in _SEARCHES}
    with child("-m", "bench.peer") as peer:
        repository = {"unique_id": REPOSITORY, "url": f"{peer.url}/study-manifests/{INSTANCES}"}
        more = {
            "GATEWAY_REGISTRY__URL": f"{peer.url}/registered-manifests/{MANIFESTS}",
            "GATEWAY_REPOSITORIES": json.dumps([repository]),
        }
        _get(f"{peer.url}/warm/{MANIFESTS}/{INSTANCES}")
        for _ in range(starts):
            with gateway(peer.url, **more) as running:
                _ask(running, peer, _SEARCHES[_COLD], cold)
                for _ in range(_WARM):
                    for name, path in _SEARCHES.items():
                        _ask(running, peer, path, warm[name])
    floor = statistics.median(warm["ITI-67"].times)
    rows = [
        (
            name,
            f"{min(one.times):,.0f} / {statistics.median(one.times):,.0f}",
            statistics.median(one.times) / floor,
            one.calls.get("registry", 0),
            one.calls.get("repository", 0),
            one.size // 1000,
            one.blocked,
        )
        for name, one in {f"{_COLD}, cold": cold, **{f"{n}, warm": one for n, one in warm.items()}}.items()
    ]
    report.show(
        f"Searches over {MANIFESTS} manifests of {INSTANCES} instances",
        (
            "search",
            "ms (min / median)",
            "of ITI-67",
            "ITI-18 calls",
            "ITI-43 calls",
            "kB",
            "blocked ms (longest)",
        ),
        rows,
    )
