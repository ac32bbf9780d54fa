"""WADO-RS of a large study over RAD-69 next to a plain aiohttp proxy of as many bytes."""

import json
import statistics

from bench import report, study
from bench.download import fetch
from bench.processes import KEY, REPOSITORY, child, gateway
from gateway.clients.quirks import ImagingSourceQuirks
from gateway.security.sealing import KeyRing
from gateway.security.study_urls import StudyKey, StudyTokens

SERIES, INSTANCES = 8, 500


def run(size: int, rounds: int) -> None:
    """Fetch a study of `size` bytes in 4,000 instances through proxy and gateway, in turns."""
    each = size // (SERIES * INSTANCES)
    key = StudyKey(
        study_instance_uid=study.STUDY,
        repository_unique_id=REPOSITORY,
        document_unique_id=study.DOCUMENT,
        entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000001",
        mime_type="application/dicom",
    )
    token = StudyTokens(KeyRing.parse([KEY])).write(key)
    with child("-m", "bench.peer") as peer, child("-m", "bench.proxy", peer.url) as proxy:
        repository = {"unique_id": REPOSITORY, "url": f"{peer.url}/manifests/{SERIES}/{INSTANCES}"}
        location = {"uid": study.LOCATION, "url": f"{peer.url}/imaging/{each}"}
        more = {
            "GATEWAY_REPOSITORIES": json.dumps([repository]),
            "GATEWAY_IMAGING__LOCATIONS": json.dumps([location]),
        }
        with gateway(peer.url, **more) as running:
            base = f"{running.url}/wado/{token}/studies/{study.STUDY}"
            one = f"{base}/series/{study.STUDY}.1/instances/{study.STUDY}.1.1"
            ways = {
                "plain proxy": report.Way(f"{proxy.url}/plain/{size}", proxy),
                "gateway": report.Way(base, running),
            }
            fetch(f"{proxy.url}/plain/1000", 1000)
            fetch(one, each)
            running.ask()
            idle = running.ask()["rss_kib"]
            for _ in range(rounds):
                for way in ways.values():
                    way.fetch(size)
            ways["gateway"].measure(idle)
    title = f"WADO-RS over RAD-69 of {size / 1e6:,.0f} MB in {SERIES * INSTANCES:,} instances"
    report.compare(title, ways)
    through = ways["gateway"]
    at_once = ImagingSourceQuirks().images_per_request
    one_response = at_once * each / 1e3 / statistics.median(through.rates)
    print(
        f"  {at_once} images are asked for at once: a response takes {one_response:.0f} ms, "
        f"the first byte came after {min(through.firsts):.0f} ms; bounds: 60 % of the proxy, 48 MiB"
    )
