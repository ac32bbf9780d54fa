"""What a trace asks, of the settings."""

from gateway.settings import Settings
from gateway.trace.findings import Way
from gateway.trace.tracer import Reached
from gateway.trace.ways import Ways
from gateway.wiring.fan_out import every_place, every_registry
from gateway.wiring.fhir import terminology
from gateway.wiring.imaging import every_location, manifest_readers, manifests
from gateway.wiring.parts import Parts


def reached(settings: Settings, parts: Parts) -> Reached:
    """Registries, ways and memory of the gateway of these settings."""
    found, store = manifests(settings, parts.imaging)
    terms = terminology(settings)
    is_xds = settings.mhd_domain is None
    registry = Way(
        transaction="ITI-18" if is_xds else "ITI-67",
        peer="registry" if is_xds else "mhd domain",
        tried=True,
    )
    ways = Ways(
        registry=registry,
        places=every_place(settings, parts),
        locations=every_location(settings, parts.imaging),
        communities=parts.communities,
        max_bytes=settings.imaging.max_manifest_bytes,
        circuits=lambda: {
            **parts.soap.circuit_states(),
            **parts.fhir.circuit_states(),
            **parts.dicomweb.circuit_states(),
        },
    )
    return Reached(
        registry=every_registry(settings, parts),
        ways=ways,
        store=store,
        manifests=found,
        communities=parts.communities,
        readers=manifest_readers(terms),
        authority_of=terms.authorities.oid_or_none,
        gone=settings.retrieve.deprecated == "gone",
    )
