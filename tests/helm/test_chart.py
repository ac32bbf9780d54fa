"""The chart, rendered by Helm: what sites get, what Kubernetes takes, and what is refused with a reason."""

import json
import re
from types import SimpleNamespace

import kubernetes_validate
import pytest
import yaml

from gateway.mhd.admission import Admission
from gateway.settings import load_settings
from gateway.telemetry.metrics import Metrics
from gateway.wiring.audit import watch_trail
from gateway.wiring.metrics import watch
from helm.write_schema import TARGET, written

from . import value_sets as sets
from .chart import container, kinds, one, with_values

KUBERNETES = ("1.30", "1.37")
CUSTOM = {"HTTPRoute", "ServiceMonitor", "PrometheusRule"}


@pytest.fixture(params=sets.ALL, scope="module")
def rendered(request, chart):
    return chart.render(sets.ALL[request.param])


def test_kubernetes_takes_everything_that_is_rendered(rendered):
    own = [r for r in rendered if r["kind"] not in CUSTOM]
    assert len(own) > 4
    for resource in own:
        for version in KUBERNETES:
            kubernetes_validate.validate(resource, version, strict=True)


def test_helm_lints_without_a_complaint(chart):
    for name, values in sets.ALL.items():
        done = chart.run("lint", values, "--strict")
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


def test_the_gateway_reads_what_the_chart_writes(rendered, monkeypatch, tmp_path):
    file = tmp_path / "gateway.yaml"
    file.write_text(one(rendered, "ConfigMap")["data"]["gateway.yaml"])
    secrets = {"URL_KEY_0": "a" * 64, "URL_KEY_1": "b" * 64}
    for variable in container(rendered)["env"]:
        value = variable.get("value", "rediss://:secret@redis.example:6380/0")
        for name, secret in secrets.items():
            value = value.replace(f"$({name})", secret)
        if variable["name"].startswith("GATEWAY_") and variable["name"] != "GATEWAY_CONFIG":
            monkeypatch.setenv(variable["name"], value)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.setenv("GATEWAY_CONFIG", str(file))
    settings = load_settings()
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 8080)
    assert settings.server.drain_wait == 5
    ports = {port["name"]: port["containerPort"] for port in container(rendered)["ports"]}
    assert ports.get("metrics") == settings.metrics.port
    assert settings.metrics.enabled == ("metrics" in ports)
    assert settings.console.enabled == ("console" in ports)
    assert ports.get("console") == settings.console.port
    assert str(settings.state_dir) == "/var/lib/gateway"
    replicated = "PodDisruptionBudget" in kinds(rendered)
    assert not (replicated and settings.redis.embedded), "replicas have a common Redis"
    assert not replicated or settings.security.keys == tuple(secrets.values())


def test_values_become_settings(chart):
    text = one(chart.render(sets.MANY_PEERS), "ConfigMap")["data"]["gateway.yaml"]
    written = yaml.safe_load(text)
    given = sets.MANY_PEERS["settings"]
    assert written["repositories"] == given["repositories"]
    assert written["imaging"] == given["imaging"]
    assert written["server"] == {**given["server"], "host": "0.0.0.0", "port": 8080, "drain_wait": 5}


def test_large_numbers_stay_whole(chart):
    text = one(chart.render(sets.FULL), "ConfigMap")["data"]["gateway.yaml"]
    assert "max_document_bytes: 1000000\n" in text + "\n"


def test_pods_have_no_more_rights_than_they_need(rendered):
    pods = [r["spec"]["template"]["spec"] for r in rendered if r["kind"] == "Deployment"]
    pods += [r["spec"] for r in rendered if r["kind"] == "Pod"]
    assert len(pods) >= 2
    for pod in pods:
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for each in pod["containers"]:
            assert each["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert each["resources"]["requests"]


def test_no_secret_is_rendered(rendered):
    assert "Secret" not in kinds(rendered)


def test_the_helm_test_runs_the_doctor_with_the_settings_of_the_gateway(rendered):
    doctor = one(rendered, "Pod", "-doctor")
    assert doctor["metadata"]["annotations"]["helm.sh/hook"] == "test"
    [runs] = doctor["spec"]["containers"]
    serves = container(rendered)
    assert runs["args"] == ["doctor"]
    for same in ("image", "env", "volumeMounts"):
        assert runs[same] == serves[same]
    component = doctor["metadata"]["labels"]["app.kubernetes.io/component"]
    assert component != one(rendered, "Service")["spec"]["selector"]["app.kubernetes.io/component"]


def test_a_pod_that_stops_has_time_to_finish(rendered):
    pod = one(rendered, "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 60
    assert container(rendered)["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]


def test_the_checksum_of_the_settings_restarts_pods(chart):
    def checksum(values):
        template = one(chart.render(values), "Deployment")["spec"]["template"]
        return template["metadata"]["annotations"]["checksum/settings"]

    changed = with_values(sets.MINIMAL, settings__search={"max_count": 7})
    assert checksum(sets.MINIMAL) == checksum(sets.MINIMAL) != checksum(changed)


def test_autoscaling_replaces_the_number_of_replicas(chart):
    resources = chart.render(sets.FULL)
    assert "replicas" not in one(resources, "Deployment")["spec"]
    assert one(resources, "HorizontalPodAutoscaler")["spec"]["maxReplicas"] == 10
    assert one(chart.render(sets.MANY_PEERS), "Deployment")["spec"]["replicas"] == 3


def test_clients_come_in_by_ingress_or_route(chart):
    [rule] = one(chart.render(sets.FULL), "Ingress")["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/fhir", "/xds"]
    route = one(chart.render(sets.GATEWAY_API), "HTTPRoute")["spec"]
    assert route["hostnames"] == ["ncp.example"]
    assert route["rules"][0]["backendRefs"] == [{"name": "gw-mhd-xds-gateway", "port": 80}]
    assert kinds(chart.render(sets.MINIMAL)).isdisjoint({"Ingress", "HTTPRoute"})


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(chart):
    resources = chart.render(sets.FULL)
    [group] = one(resources, "PrometheusRule")["spec"]["groups"]
    assert len(group["rules"]) > 5
    for rule in group["rules"]:
        assert 'namespace="default",service="gw-mhd-xds-gateway-metrics"' in rule["expr"]
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert rule["annotations"]["summary"]
    [dashboard] = one(resources, "ConfigMap", "-dashboard")["data"].values()
    asked = [rule["expr"] for rule in group["rules"]]
    asked += [target["expr"] for panel in json.loads(dashboard)["panels"] for target in panel["targets"]]
    known = names_of_metrics()
    for expression in asked:
        named = set(re.findall(r"(?:gateway|process)_[a-z_]+", expression))
        assert named, expression
        assert named <= known, expression


def names_of_metrics():
    """Names of series that a gateway shows."""
    metrics = Metrics()
    nothing = SimpleNamespace(lanes=lambda: ())
    parts = SimpleNamespace(
        metrics=metrics,
        soap=nothing,
        dicomweb=nothing,
        fhir=nothing,
        store=SimpleNamespace(available=True),
    )
    watch(parts, Admission(1, 1))
    watch_trail(SimpleNamespace(queue=SimpleNamespace(lost=0), deliveries=[]), metrics)
    found = set()
    for line in metrics.exposition()[0].decode().splitlines():
        if line.startswith("# TYPE"):
            _, _, name, kind = line.split()
            found |= {f"{name}_bucket", f"{name}_count"} if kind == "histogram" else {name}
    return found


def test_metrics_have_a_service_of_their_own_that_prometheus_finds(chart):
    resources = chart.render(sets.FULL)
    service = one(resources, "Service", "-metrics")
    monitor = one(resources, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert wanted <= service["metadata"]["labels"].items()
    assert not wanted <= one(resources, "Service")["metadata"]["labels"].items()
    assert [e["port"] for e in monitor["spec"]["endpoints"]] == [p["name"] for p in service["spec"]["ports"]]
    assert "metrics" not in {p["name"] for p in one(resources, "Service")["spec"]["ports"]}


def test_the_console_has_a_service_of_its_own_and_is_reached_by_those_who_are_named(chart):
    resources = chart.render(sets.FULL)
    service = one(resources, "Service", "-console")
    assert service["spec"]["sessionAffinity"] == "ClientIP", "each replica has its own figures"
    [port] = service["spec"]["ports"]
    assert port["targetPort"] in {p["name"] for p in container(resources)["ports"]}
    assert "console" not in {p["name"] for p in one(resources, "Service")["spec"]["ports"]}
    rules = one(resources, "NetworkPolicy")["spec"]["ingress"]
    [rule] = [rule for rule in rules if rule["ports"][0]["port"] == "console"]
    assert rule["from"] == sets.FULL["networkPolicy"]["consoleFrom"]
    without = chart.render(with_values(sets.FULL, console__enabled=False))
    assert "-console" not in "".join(r["metadata"]["name"] for r in without)
    assert "console" not in yaml.safe_load(one(without, "ConfigMap")["data"]["gateway.yaml"])


def test_the_trial_redis_is_reached_and_by_the_gateway_alone(chart):
    resources = chart.render(sets.TRIAL)
    settings = yaml.safe_load(one(resources, "ConfigMap")["data"]["gateway.yaml"])
    service = one(resources, "Service", "-redis")
    assert settings["redis"]["url"] == f"redis://{service['metadata']['name']}:6379/0"
    [rule] = one(resources, "NetworkPolicy", "-redis")["spec"]["ingress"]
    assert "gateway" in json.dumps(rule["from"])
    assert "-redis" not in "".join(r["metadata"]["name"] for r in chart.render(sets.FULL))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": {}}, ("registry", "repositories")),
        ({"settings__registry": {"url": "https://a.example", "reed_timeout": 3}}, ("reed_timeout",)),
        ({"settings__search": {"max_count": "many"}}, ("max_count", "integer")),
        ({"settings__imaging": {"order": "random"}}, ("order", "arrival")),
        ({"settings__state_dir": "/x"}, ("state_dir",)),
        ({"settings__server": {"port": 1}}, ("port",)),
        ({"settings__security": {"keys": ["a"]}}, ("keys",)),
        ({"settings__redis": {"password": "a"}}, ("password",)),
        ({"settings__metrics": {"enabled": False}}, ("metrics",)),
        ({"settings__console": {"port": 1}}, ("port",)),
        ({"replica": 2}, ("replica",)),
        ({"replicas": 0}, ("replicas", "1")),
        ({"image": {"digest": "latest"}}, ("digest", "sha256")),
        ({"service__type": "External"}, ("type", "ClusterIP")),
        ({"ingress": {"enabled": True, "hosts": ["ncp.example"]}}, ("hosts", "object")),
        ({"state__sizeLimit": "much"}, ("sizeLimit",)),
        ({"settings__security": {}}, ("settings.security", "issuers", "open")),
        ({"replicas": 2}, ("common Redis", "settings.redis.url")),
        ({"replicas": 2, "redis__trial__enabled": True}, ("common keys", "urlKeys.existingSecret")),
        (
            {"redis__trial__enabled": True, "settings__redis": {"url": "redis://a:1"}},
            ("only one of", "redis.trial.enabled"),
        ),
        ({"terminationGracePeriodSeconds": 20}, ("terminationGracePeriodSeconds", "at least 40")),
        ({"settings__server": {"drain_wait": 25.5}}, ("terminationGracePeriodSeconds", "at least 61")),
        (
            {"trustedAuthorities": {"configMap": "a", "secret": "b"}},
            ("trustedAuthorities", "only one"),
        ),
    ],
)
def test_wrong_values_are_refused_with_a_message_that_names_them(chart, changes, words):
    refusal = chart.refusal(with_values(sets.MINIMAL, **changes))
    assert all(word in refusal for word in words), refusal


def test_the_schema_knows_the_settings_of_today():
    assert TARGET.read_text() == written(), "run: make chart-schema"


def test_the_default_values_and_the_schema_have_the_same_keys():
    schema = json.loads(TARGET.read_text())["properties"]
    values = yaml.safe_load(TARGET.with_name("values.yaml").read_text())
    assert set(schema) - {"global"} == set(values)
    for name, value in values.items():
        if isinstance(value, dict) and "properties" in schema[name] and name != "settings":
            assert set(schema[name]["properties"]) == set(value), name


def test_files_of_the_settings_come_from_secrets_and_probes_speak_what_the_listener_does(chart):
    rendered = chart.render(sets.OWN_TLS)
    pod = one(rendered, "Deployment")["spec"]["template"]["spec"]
    mounts = {m["mountPath"]: m for m in container(rendered)["volumeMounts"]}
    volumes = {v["name"]: v for v in pod["volumes"]}
    for name, secret in sets.OWN_TLS["secretFiles"].items():
        mount = mounts[f"/run/secrets/{name}"]
        assert mount["readOnly"]
        assert volumes[mount["name"]]["secret"]["secretName"] == secret
    probes = [container(rendered)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert {(p["port"], p.get("scheme")) for p in probes} == {("metrics", None)}, "has no client certificate"
    alone = chart.render(with_values(sets.OWN_TLS, metrics__enabled=False))
    assert container(alone)["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"
