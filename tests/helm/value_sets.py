"""Sets of values as sites have them."""

from .chart import Values, with_values

MINIMAL: Values = {
    "settings": {
        "server": {"base_url": "https://ncp.example/fhir"},
        "registry": {"url": "https://registry.example/xds/registry"},
        "repositories": [{"unique_id": "2.999.10.1", "url": "https://repository.example/xds/repository"}],
        "security": {
            "issuers": [{"issuer": "https://login.example", "jwks_url": "https://login.example/certs"}]
        },
    }
}

TRIAL = with_values(
    MINIMAL, redis__trial={"enabled": True}, networkPolicy__egressTo=[{"ipBlock": {"cidr": "10.0.0.0/8"}}]
)

SHARED = with_values(
    MINIMAL, replicas=3, urlKeys={"existingSecret": "gateway-keys", "entries": ["current", "previous"]}
)

FULL = with_values(
    SHARED,
    image={
        "repository": "images.example/mhd-xds-gateway",
        "digest": "sha256:" + "0" * 64,
        "pullSecrets": ["pull"],
    },
    redis__urlSecret={"name": "redis", "key": "url"},
    autoscaling={"enabled": True, "minReplicas": 2, "maxReplicas": 10},
    serviceAccount={"name": "gateway", "annotations": {"a.example/role": "reader"}},
    service__annotations={"a.example/b": "c"},
    ingress={
        "enabled": True,
        "className": "nginx",
        "hosts": [{"host": "ncp.example", "paths": ["/fhir", "/xds"]}],
        "tls": [{"secretName": "ncp-tls", "hosts": ["ncp.example"]}],
    },
    networkPolicy={
        "ingressFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "egressTo": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        "consoleFrom": [{"namespaceSelector": {"matchLabels": {"name": "operations"}}}],
    },
    metrics={
        "serviceMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    },
    console={"enabled": True},
    settings__console={"requests": 1000, "base_url": "https://console.ncp.example"},
    extraEnv=[{"name": "TZ", "value": "UTC"}],
    podAnnotations={"a.example/x": "1"},
    podLabels={"team": "ncp"},
    nodeSelector={"pool": "apps"},
    tolerations=[{"key": "apps", "operator": "Exists"}],
    affinity={
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "arch", "operator": "In", "values": ["amd64"]}]}
                ]
            }
        }
    },
    priorityClassName="important",
    settings__log={"level": "warning"},
    settings__search={"max_count": 200},
    settings__references={"max_document_bytes": 1_000_000},
)

CLIENT_CERTIFICATES = with_values(
    FULL,
    ingress__annotations={
        "nginx.ingress.kubernetes.io/auth-tls-secret": "ncp/client-authorities",
        "nginx.ingress.kubernetes.io/auth-tls-verify-client": "on",
    },
    trustedAuthorities={"secret": "peers-authorities", "key": "ca.pem"},
    settings__publish={
        "client_header": "X-Client-Id",
        "sources": {"hospital-a": {"source_id": "2.999.40.2"}},
    },
)

OWN_TLS = with_values(
    FULL,
    secretFiles={"tls": "gateway-tls", "sts": "gateway-sts"},
    settings__server__tls={
        "certificate_file": "/run/secrets/tls/tls.crt",
        "key_file": "/run/secrets/tls/tls.key",
        "client_authorities_file": "/run/secrets/tls/ca.crt",
        "client_certificates": "required",
    },
    settings__security__assertions={
        "issue": {
            "issuer": "https://ncp.example/sts",
            "key_file": "/run/secrets/sts/tls.key",
            "certificate_file": "/run/secrets/sts/tls.crt",
        }
    },
    settings__registry__assertion="issue",
)

REDIS_CLUSTER = with_values(
    SHARED,
    settings__redis={"cluster": ["redis-0.redis:6379", "redis-1.redis:6379"], "key_prefix": "ncp:"},
    redis__passwordSecret={"name": "redis", "key": "password"},
)

SENTINELS = with_values(
    SHARED,
    settings__redis={"sentinels": ["sentinel-0:26379", "sentinel-1:26379"], "master_name": "ncp"},
    trustedAuthorities={"configMap": "authorities", "key": "ca.crt"},
)

MANY_PEERS = with_values(
    SHARED,
    settings__redis={"url": "rediss://redis.example:6380/0"},
    settings__repositories=[
        {
            "unique_id": f"2.999.10.{n}",
            "url": f"https://repository-{n}.example/xds",
            "quirks": {"documents_per_request": n},
        }
        for n in (1, 2, 3)
    ],
    settings__imaging={
        "locations": [
            {"uid": "2.999.20.1", "protocol": "rad-69", "url": "https://pacs.example/xdsi"},
            {"uid": "2.999.20.2", "protocol": "wado-rs", "url": "https://archive.example/dicom-web"},
        ],
        "time_zone": "Europe/Vienna",
    },
    settings__terminology={"code_systems": {"https://codes.example/class": "2.999.20.1"}},
)

THREE_COMMUNITIES = with_values(
    SHARED,
    settings__redis={"url": "redis://redis.example:6379/0"},
    settings__home_community_id="urn:oid:2.999.7.1",
    settings__responding_gateway={"enabled": True},
    settings__communities=[
        {
            "name": "Country B",
            "home_community_id": "urn:oid:2.999.7.2",
            "query_url": "https://ncp-b.example/xca/gateway",
            "images_url": "https://ncp-b.example/xca-i/imaging",
            "patients_url": "https://ncp-b.example/xca/patients",
        },
        {
            "name": "Country C",
            "home_community_id": "urn:oid:2.999.7.3",
            "mhd": {
                "base_url": "https://ncp-c.example/fhir",
                "dicomweb_url": "https://ncp-c.example/dicomweb",
                "repository_unique_id": "2.999.7.3.1",
                "access": {"client_id": "ncp", "key_file": "/run/secrets/ncp/key.jwk"},
            },
        },
        {
            "name": "Region D",
            "home_community_id": "urn:oid:2.999.7.4",
            "query_url": "https://region-d.example/xca",
            "deadline": 3,
        },
    ],
    secretFiles={"ncp": "gateway-ncp"},
)

GATEWAY_API = with_values(
    MANY_PEERS,
    httpRoute={
        "enabled": True,
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["ncp.example"],
    },
    service__type="NodePort",
)

ONE_WITH_STATE = with_values(
    MINIMAL, metrics__enabled=False, state__existingClaim="gateway-state", networkPolicy__enabled=False
)

ALL = {
    "minimal": MINIMAL,
    "trial with a Redis": TRIAL,
    "full": FULL,
    "client certificates": CLIENT_CERTIFICATES,
    "own TLS and assertions": OWN_TLS,
    "redis cluster": REDIS_CLUSTER,
    "sentinels": SENTINELS,
    "many peers, no ingress": MANY_PEERS,
    "three communities": THREE_COMMUNITIES,
    "gateway api": GATEWAY_API,
    "one replica with state": ONE_WITH_STATE,
}
