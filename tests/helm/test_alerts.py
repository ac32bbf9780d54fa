"""The alerts of the chart, asked of Prometheus itself: each fires on what it is for, and on nothing else.

Needs `promtool` (Debian: prometheus).
"""

import shutil
import subprocess

import pytest
import yaml

from . import value_sets as sets
from .chart import one

PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")

OF = 'namespace="default",service="gw-mhd-xds-gateway-metrics",pod="gw-0"'
MINUTES = 40


def series(name, values, **labels):
    """One input series, a value to a minute, in the notation of promtool."""
    more = "".join(f',{label}="{value}"' for label, value in labels.items())
    return {"series": f"{name}{{{OF}{more}}}", "values": values}


def flat(name, value, **labels):
    return series(name, f"{value}x{MINUTES}", **labels)


def growing(name, step, **labels):
    return series(name, f"0+{step}x{MINUTES}", **labels)


WELL = [
    flat("gateway_build", 1, version="0"),
    flat("gateway_peer_circuit", 0, peer="registry", transaction="ITI-18"),
    flat("gateway_peer_circuit", 1, peer="repository 2.999.10.1", transaction="ITI-43"),
    flat("gateway_peer_circuit", 0, peer="community Country B", transaction="ITI-38"),
    growing("gateway_peer_calls_total", 60, peer="registry", transaction="ITI-18", outcome="ok"),
    growing("gateway_requests_total", 1000, transaction="ITI-67", status="200"),
    growing("gateway_requests_total", 10, transaction="ITI-67", status="500"),
    growing("gateway_request_seconds_bucket", 990, transaction="ITI-67", le="2.5"),
    growing("gateway_request_seconds_bucket", 1000, transaction="ITI-67", le="+Inf"),
    flat("gateway_correlation_available", 1),
    flat("gateway_publish_bytes_held", 1000),
    flat("gateway_audit_queue_age_seconds", 30, repository="syslog"),
    flat("gateway_audit_queue_records", 300, repository="syslog"),
    flat("gateway_audit_repository_away", 0, repository="syslog"),
    flat("gateway_audit_records_lost", 0),
    flat("gateway_audit_records_refused", 0, repository="fhir"),
]

ILL = {
    "GatewayAbsent": ([], {"namespace": "default", "service": "gw-mhd-xds-gateway-metrics"}),
    "GatewayRegistryFails": ([flat("gateway_peer_circuit", 2, peer="registry", transaction="ITI-18")], {}),
    "GatewayPeerFails": (
        [flat("gateway_peer_circuit", 2, peer="community Country B", transaction="ITI-38")],
        {"peer": "community Country B", "transaction": "ITI-38"},
    ),
    "GatewayPeerBusy": (
        [growing("gateway_peer_calls_total", 1, peer="registry", transaction="ITI-18", outcome="busy")],
        {"peer": "registry", "transaction": "ITI-18"},
    ),
    "GatewayErrors": (
        [growing("gateway_requests_total", 90, transaction="ITI-67", status="502")],
        {"transaction": "ITI-67"},
    ),
    "GatewaySearchSlow": (
        [
            growing("gateway_request_seconds_bucket", 900, transaction="ITI-67", le="2.5"),
            growing("gateway_request_seconds_bucket", 900, transaction="ITI-67", le="5.0"),
            growing("gateway_request_seconds_bucket", 1000, transaction="ITI-67", le="10.0"),
            growing("gateway_request_seconds_bucket", 1000, transaction="ITI-67", le="+Inf"),
        ],
        {"transaction": "ITI-67"},
    ),
    "GatewayRedisLost": ([flat("gateway_correlation_available", 0)], {}),
    "GatewayPublishMemory": ([flat("gateway_publish_bytes_held", 900 * 1024 * 1024)], {}),
    "GatewayAuditBehind": (
        [flat("gateway_audit_queue_age_seconds", 4000, repository="syslog")],
        {"repository": "syslog"},
    ),
    "GatewayAuditRepositoryAway": (
        [flat("gateway_audit_repository_away", 1, repository="syslog")],
        {"repository": "syslog"},
    ),
    "GatewayAuditQueueFills": (
        [flat("gateway_audit_queue_records", 300_000, repository="fhir")],
        {"repository": "fhir"},
    ),
    "GatewayAuditRecordsLost": ([flat("gateway_audit_records_lost", 3)], {}),
    "GatewayAuditRecordsRefused": (
        [flat("gateway_audit_records_refused", 1, repository="fhir")],
        {"repository": "fhir"},
    ),
}
"""For each alert the series that are ill, beside the others, and the labels of what it says."""


@pytest.fixture(scope="module")
def group(chart):
    [found] = one(chart.render(sets.FULL), "PrometheusRule")["spec"]["groups"]
    return found


def input_of(alert):
    """The ill series, in place of those of the same name; of an absent gateway there is nothing."""
    ill, _ = ILL[alert]
    if alert == "GatewayAbsent":
        return [each for each in WELL if not each["series"].startswith("gateway_build")]
    replaced = {each["series"].split("{")[0] for each in ill}
    kept = [each for each in WELL if each["series"].split("{")[0] not in replaced]
    if alert == "GatewayErrors":
        kept.append(growing("gateway_requests_total", 1000, transaction="ITI-67", status="200"))
    return [*kept, *ill]


def unit(interval_series, rule, labels):
    expected = []
    if labels is not None:
        told = rule["annotations"]["summary"]
        for name, value in labels.items():
            told = told.replace(f"{{{{ $labels.{name} }}}}", value)
        expected = [{"exp_labels": {**rule["labels"], **labels}, "exp_annotations": {"summary": told}}]
    return {
        "interval": "1m",
        "input_series": interval_series,
        "alert_rule_test": [{"eval_time": f"{MINUTES}m", "alertname": rule["alert"], "exp_alerts": expected}],
    }


def promtool(*arguments):
    return subprocess.run(
        [str(PROMTOOL), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


def test_prometheus_takes_the_rules(group, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": [group]}))
    done = promtool("check", "rules", rules)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(group['rules'])} rules found" in done.stdout


def test_each_alert_fires_on_what_it_is_for_and_no_other(group, tmp_path):
    by_name = {rule["alert"]: rule for rule in group["rules"]}
    assert set(by_name) == set(ILL), "each alert has a case"
    rules, file = tmp_path / "rules.yaml", tmp_path / "tests.yaml"
    rules.write_text(yaml.safe_dump({"groups": [group]}))
    units = [unit(WELL, rule, None) for rule in by_name.values()]
    for alert, (_, labels) in ILL.items():
        units += [
            unit(input_of(alert), rule, labels if name == alert else None) for name, rule in by_name.items()
        ]
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "tests": units}))
    done = promtool("test", "rules", file)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
