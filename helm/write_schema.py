"""Writes values.schema.json of the chart (`make chart-schema`): what it takes, around the gateway's settings.

Settings that the chart decides, and secrets, which do not belong into values, are left out, so Helm refuses
them like any key that does not exist.
"""

import json
from pathlib import Path
from typing import Any

from gateway.settings import Settings

TARGET = Path(__file__).parent / "mhd-xds-gateway" / "values.schema.json"

NOT_IN_VALUES = {
    None: ("state_dir", "metrics"),
    "ServerSettings": ("host", "port", "workers"),
    "ConsoleSettings": ("enabled", "host", "port"),
    "RedisSettings": ("password",),
    "SecuritySettings": ("keys",),
}
"""Settings by their section."""

TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 0}
SOME = {"type": "integer", "minimum": 1}
FREE = {"type": "object"}
TEXTS = {"type": "array", "items": TEXT}
QUANTITY = {"type": ["string", "integer"], "pattern": r"^[0-9]+(\.[0-9]+)?([KMGTPE]i?|[mk])?$"}
OBJECTS = {"type": "array", "items": FREE}


def section(_required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """An object without other keys."""
    required = {"required": list(_required)} if _required else {}
    return {"type": "object", "additionalProperties": False, **required, "properties": properties}


def secret_entry() -> dict[str, Any]:
    """The name of a Secret and one of its keys."""
    return section(name=TEXT, key=TEXT)


def settings_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of the settings and the definitions that it refers to."""
    schema = Settings.model_json_schema()
    definitions = schema.pop("$defs")
    for name, keys in NOT_IN_VALUES.items():
        for key in keys:
            del (schema if name is None else definitions[name])["properties"][key]
    return _without_titles(schema), _without_titles(definitions)


def _without_titles(value: Any) -> Any:
    # titles repeat the names, defaults of sections those of their keys; `description` stays for editors
    if isinstance(value, dict):
        kept = {k: _without_titles(v) for k, v in value.items() if k != "title" or not isinstance(v, str)}
        if "$ref" in kept:
            kept.pop("default", None)
        return kept
    return [_without_titles(v) for v in value] if isinstance(value, list) else value


def values_schema() -> dict[str, Any]:
    """The schema of all values."""
    settings, definitions = settings_schema()
    resources = section(requests=FREE, limits=FREE)
    host = section(
        ("host", "paths"),
        host=TEXT,
        paths={"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^/"}},
    )
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$defs": definitions,
        **section(
            ("settings",),
            **{"global": FREE},
            image=section(
                repository={"type": "string", "minLength": 1},
                tag=TEXT,
                digest={"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
                pullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
                pullSecrets=TEXTS,
            ),
            settings=settings,
            urlKeys=section(existingSecret=TEXT, entries={**TEXTS, "minItems": 1}),
            redis=section(
                urlSecret=secret_entry(),
                passwordSecret=secret_entry(),
                trial=section(enabled=FLAG, image=TEXT, resources=resources),
            ),
            trustedAuthorities=section(configMap=TEXT, secret=TEXT, key=TEXT),
            secretFiles={
                "type": "object",
                "propertyNames": {"pattern": "^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$"},
                "additionalProperties": {"type": "string", "minLength": 1},
            },
            extraEnv=OBJECTS,
            replicas=SOME,
            autoscaling=section(
                enabled=FLAG,
                minReplicas=SOME,
                maxReplicas=SOME,
                targetCPUUtilizationPercentage={"type": "integer", "minimum": 1, "maximum": 100},
            ),
            podDisruptionBudget=section(
                enabled=FLAG,
                maxUnavailable={"type": ["integer", "string"], "pattern": "^[0-9]+%$", "minimum": 0},
            ),
            resources=resources,
            state=section(existingClaim=TEXT, sizeLimit=QUANTITY),
            temporary=section(sizeLimit=QUANTITY),
            terminationGracePeriodSeconds=SOME,
            preStopSeconds=COUNT,
            probes=section(startup=FREE, liveness=FREE, readiness=FREE),
            serviceAccount=section(create=FLAG, name=TEXT, annotations=FREE),
            service=section(
                type={"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
                port={"type": "integer", "minimum": 1, "maximum": 65535},
                annotations=FREE,
            ),
            ingress=section(
                enabled=FLAG,
                className=TEXT,
                annotations=FREE,
                hosts={"type": "array", "items": host},
                tls={"type": "array", "items": section(("secretName",), secretName=TEXT, hosts=TEXTS)},
            ),
            httpRoute=section(
                enabled=FLAG, parentRefs=OBJECTS, hostnames=TEXTS, paths=TEXTS, annotations=FREE
            ),
            metrics=section(
                enabled=FLAG,
                serviceMonitor=section(
                    enabled=FLAG, interval={"type": "string", "pattern": "^[0-9]+(ms|s|m)$"}, labels=FREE
                ),
                prometheusRule=section(enabled=FLAG, labels=FREE),
                dashboard=section(enabled=FLAG, labels=FREE),
            ),
            console=section(enabled=FLAG),
            networkPolicy=section(
                enabled=FLAG,
                ingressFrom=OBJECTS,
                metricsFrom=OBJECTS,
                consoleFrom=OBJECTS,
                egressTo=OBJECTS,
            ),
            podAnnotations=FREE,
            podLabels=FREE,
            nodeSelector=FREE,
            tolerations=OBJECTS,
            affinity=FREE,
            topologyKeys=TEXTS,
            priorityClassName=TEXT,
        ),
    }


def written() -> str:
    """The file."""
    return json.dumps(values_schema(), indent=1) + "\n"


if __name__ == "__main__":
    TARGET.write_text(written())
