"""A wrong setting stops the start with a line that names the key."""

import os
import re
from pathlib import Path

import pytest

from gateway.fhir.terminology import Terminology
from gateway.reference_settings import ReferenceSettings
from gateway.settings import SettingsError, load_settings
from gateway.wiring.publishing import metadata_tables, publishing_sources

ROOT = Path(__file__).parents[1]
REPOSITORY = {"url": "http://127.0.0.1:1/xds/repository", "unique_id": "2.999.10.1"}
MINIMAL = {"registry": {"url": "http://127.0.0.1:1/xds/registry"}, "repositories": [REPOSITORY]}


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in [name for name in os.environ if name.startswith("GATEWAY_")]:
        monkeypatch.delenv(name)
    # load_settings sets it, which is undone only where it was known before
    monkeypatch.setenv("GATEWAY_CONFIG", "")
    monkeypatch.delenv("GATEWAY_CONFIG")


def test_the_example_settings_load(monkeypatch):
    monkeypatch.setenv("GATEWAY_CONFIG", str(ROOT / "config" / "gateway.example.yaml"))
    settings = load_settings()
    assert settings.publish_repository.url == "https://repository.example/xds/repository"
    assert settings.terminology.assigning_authorities == {
        "https://ids.example/national-patient": "2.999.30.1"
    }


def test_the_environment_wins_over_the_file(monkeypatch):
    monkeypatch.setenv("GATEWAY_CONFIG", str(ROOT / "config" / "gateway.example.yaml"))
    monkeypatch.setenv("GATEWAY_REGISTRY__URL", "http://127.0.0.1:9/registry")
    settings = load_settings()
    assert settings.registry.url == "http://127.0.0.1:9/registry"
    assert settings.registry.read_timeout == 30


def test_a_secret_comes_from_its_file(monkeypatch, tmp_path):
    (tmp_path / "GATEWAY_PUBLISH_TO").write_text("2.999.10.1")
    monkeypatch.setenv("GATEWAY_SECRETS_DIR", str(tmp_path))
    assert load_settings(overrides=MINIMAL).publish_to == "2.999.10.1"


COMMUNITY_MHD = {"mhd": {"base_url": "https://c.example/fhir"}}
COMMUNITY = {"home_community_id": "2.999.60.2", "name": "b", "query_url": "http://127.0.0.1:1/xca"}
OWN = {"home_community_id": "2.999.60.1"}


MHD_DOMAIN = {"base_url": "https://a.example/fhir"}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "set registry and repositories, or mhd_domain"),
        ({"registry": {"url": "http://127.0.0.1:1/"}}, "set registry and repositories, or mhd_domain"),
        ({"registry": {"url": "http://127.0.0.1:1/"}, "mhd_domain": MHD_DOMAIN}, "mhd_domain: stands in"),
        (
            {"mhd_domain": MHD_DOMAIN | {"access": {"client_id": "x"}}},
            "client_id and key_file belong together",
        ),
    ],
)
def test_the_own_domain_is_a_registry_with_repositories_or_an_mhd_server(values, line):
    with pytest.raises(SettingsError, match=line):
        load_settings(overrides=values)


def test_an_mhd_domain_needs_nothing_else():
    settings = load_settings(overrides={"mhd_domain": MHD_DOMAIN})
    assert settings.publish_repository.unique_id.startswith("2.25.")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"communities": [COMMUNITY]}, "home_community_id must be set"),
        ({"responding_gateway": {"enabled": True}}, "home_community_id must be set"),
        (OWN | {"communities": [COMMUNITY | {"home_community_id": "2.999.60.1"}]}, "the own community"),
        (OWN | {"communities": [COMMUNITY, COMMUNITY | {"name": "c"}]}, "homeCommunityId may appear once"),
        (
            OWN | {"communities": [COMMUNITY, COMMUNITY | {"home_community_id": "2.999.60.3"}]},
            "each name may appear once",
        ),
        (
            OWN | {"communities": [COMMUNITY | {"further_home_community_ids": ["2.999.60.2"]}]},
            "communities.0: further_home_community_ids: each homeCommunityId may appear once",
        ),
        (OWN | {"communities": [{"name": "b"}]}, "communities.0.home_community_id: is not set"),
        (OWN | {"communities": [COMMUNITY | {"query_url": None}]}, "communities.0: set query_url or mhd"),
        (OWN | {"communities": [COMMUNITY | COMMUNITY_MHD]}, "communities.0: set query_url or mhd"),
        (OWN | {"communities": [COMMUNITY | {"quirks": {"missing_home": "no"}}]}, "quirks.missing_home: "),
    ],
)
def test_communities_that_cannot_be_told_apart_stop_the_start(change, line):
    with pytest.raises(SettingsError, match=line):
        load_settings(overrides=MINIMAL | change)


def test_a_community_is_known_by_all_its_ids():
    further = COMMUNITY | {"further_home_community_ids": ["urn:oid:2.999.60.4"]}
    (community,) = load_settings(overrides=MINIMAL | OWN | {"communities": [further]}).communities
    assert community.homes == ("urn:oid:2.999.60.2", "urn:oid:2.999.60.4")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"registry": {"url": "ftp://x"}}, "registry.url: must be an http:// or https:// URL"),
        ({"registry": {}}, "registry.url: is not set"),
        ({"repositories": [{**REPOSITORY, "unique_id": "abc"}]}, "repositories.0.unique_id: must be an OID"),
        ({"repositories": [REPOSITORY, REPOSITORY]}, "repositories: each unique_id may appear once"),
        ({"repositories": []}, "set registry and repositories"),
        ({"publish_to": "2.999.77"}, "publish_to must be the unique_id of one of the repositories"),
        ({"home_community_id": "here"}, "home_community_id: must be an OID"),
        (
            {"redis": {"url": "redis://a", "cluster": ["b:1"]}},
            "redis: set only one of url, sentinels and cluster",
        ),
        (
            {"repositories": [{**REPOSITORY, "quirks": {"documents_per_request": 0}}]},
            "repositories.0.quirks.documents_per_request: ",
        ),
        (
            {"repositories": [{**REPOSITORY, "quirks": {"documents": 1}}]},
            "repositories.0.quirks.documents: is not a setting",
        ),
        ({"bogus": 1}, "bogus: is not a setting"),
        ({"search": {"max_count": 0}}, "search.max_count: "),
    ],
)
def test_a_wrong_value_is_named(change, line):
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides={**MINIMAL, **change})
    assert line in str(caught.value)


def test_a_missing_file_is_named():
    with pytest.raises(SettingsError, match=r"/nowhere\.yaml: no such settings file"):
        load_settings(Path("/nowhere.yaml"))


def test_secrets_do_not_show_when_settings_are_printed():
    settings = load_settings(
        overrides={
            **MINIMAL,
            "redis": {"url": "redis://a", "password": "hush-1"},
            "security": {"keys": ["hush-2"]},
        }
    )
    assert "hush" not in repr(settings)


@pytest.mark.parametrize(
    "host", ["", "https://a.example", "a.example/fhir", "a@b.example", "a.example:x", ":80"]
)
def test_hosts_of_references_are_hosts(host):
    with pytest.raises(ValueError, match="host"):
        ReferenceSettings(allowed_hosts=(host,))


def test_hosts_of_references_are_compared_in_lower_case():
    settings = ReferenceSettings(allowed_hosts=("Directory.Example:8443", "[::1]:80"))
    assert settings.allowed_hosts == ("directory.example:8443", "::1:80")


def publishing(**publish):
    return load_settings(overrides={**MINIMAL, "publish": publish})


@pytest.mark.parametrize(
    ("publish", "said"),
    [
        ({"sources": {"a": {"source_id": "2.999.1"}}}, "client_header"),
        (
            {"client_header": "X-Client", "source_id": "2.999.1", "sources": {"a": {"source_id": "2.999.1"}}},
            "source_id of its own",
        ),
        ({"client_header": "X Client"}, "publish.client_header"),
        ({"class_codes": {"18842-5": {"system": "2.999.1", "code": "a"}}}, "system|code"),
        ({"defaults": {"language": "de_AT"}}, "publish.defaults.language"),
        ({"defaults": {"class_code": {"code": "a"}}}, "publish.defaults.class_code.system: is not set"),
        ({"time_zone": "Vienna"}, "publish.time_zone: must be a time zone"),
        ({"time_zone": "../etc/passwd"}, "publish.time_zone: must be a time zone"),
    ],
)
def test_what_submissions_are_completed_with_is_checked(publish, said):
    with pytest.raises(SettingsError) as caught:
        publishing(**publish)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("publish", "key"),
    [
        (
            {"defaults": {"type_code": {"system": "http://x.example", "code": "a"}}},
            "publish.defaults.type_code",
        ),
        ({"format_codes": {"1.2": {"system": "http://x.example", "code": "a"}}}, "publish.format_codes.1.2"),
        ({"class_codes": {"http://x.example|1": {"system": "1.2", "code": "a"}}}, "publish.class_codes.http"),
    ],
)
def test_a_code_system_that_is_not_mapped_stops_the_start(publish, key):
    settings = publishing(**publish)
    with pytest.raises(SettingsError, match=r"terminology\.code_systems") as caught:
        metadata_tables(settings, Terminology())
        publishing_sources(settings, Terminology(), "http://gateway.example/fhir")
    assert str(caught.value).startswith(key)


def test_the_defaults_of_a_source_come_before_the_common_ones():
    common = {"language": "en", "confidentiality": {"system": "2.16.840.1.113883.5.25", "code": "N"}}
    own = {"source_id": "2.999.2", "defaults": {"language": "de"}}
    settings = publishing(client_header="X-Client", defaults=common, sources={"a": own})
    sources = publishing_sources(settings, Terminology(), "http://gateway.example/fhir")
    assert sources.of("a").defaults.language == "de"
    assert sources.of("a").defaults.confidentiality == sources.of(None).defaults.confidentiality
    assert sources.of("b").source_id == sources.of("b").source_id != sources.of("c").source_id


@pytest.mark.parametrize(
    ("directory", "hosts", "is_listed"),
    [
        ("https://directory.example/fhir", ["directory.example"], True),
        ("https://directory.example/fhir", ["directory.example:443"], True),
        ("http://directory.example:8080/fhir", ["directory.example:8080"], True),
        ("http://directory.example:8080/fhir", ["directory.example"], False),
        ("https://directory.example/fhir", [], False),
    ],
)
def test_the_directory_is_one_of_the_hosts_that_are_asked(directory, hosts, is_listed):
    overrides = {**MINIMAL, "references": {"directory": directory, "allowed_hosts": hosts}}
    if is_listed:
        assert load_settings(overrides=overrides).references.directory == directory
        return
    with pytest.raises(SettingsError, match=r"references: the host of directory"):
        load_settings(overrides=overrides)


ISSUER = {"issuer": "https://login.example", "jwks_url": "https://login.example/jwks"}
ASKED = {"url": "https://login.example/introspect", "token_file": "/run/secrets/token"}


@pytest.mark.parametrize(
    ("security", "line"),
    [
        ({"access": "closed"}, "security.access: "),
        (
            {"access": "token"},
            "security: access: token needs issuers, authorisation_server or assertions.accept with scopes",
        ),
        ({"issuers": [{"issuer": "a"}]}, "security.issuers.0: set one of jwks_url, jwks_file and jwks, or"),
        ({"issuers": [ISSUER | {"jwks_file": "/x"}]}, "security.issuers.0: set one of"),
        ({"issuers": [ISSUER | {"jwks_url": "ftp://x"}]}, "security.issuers.0.jwks_url: must be an http"),
        ({"issuers": [ISSUER | {"algorithms": ["none"]}]}, "security.issuers.0.algorithms.0: "),
        ({"issuers": [ISSUER | {"algorithms": ["HS256"]}]}, "security.issuers.0.algorithms.0: "),
        ({"issuers": [ISSUER | {"algorithms": []}]}, "security.issuers.0.algorithms: "),
        ({"issuers": [ISSUER, ISSUER]}, "security: issuers: each issuer may appear once"),
        (
            {"issuers": [ISSUER | {"introspection": ASKED}, {"issuer": "b", "introspection": ASKED}]},
            "security: issuers: opaque tokens can be those of one issuer",
        ),
        (
            {"issuers": [{"issuer": "b", "introspection": {"url": "https://a.example"}}]},
            "security.issuers.0.introspection: set token_file, or client_id and client_secret_file",
        ),
        ({"clock_skew": 3600}, "security.clock_skew: "),
        ({"authorisation_server": {"clients": {}}}, "security.authorisation_server.clients: "),
        (
            {"authorisation_server": {"clients": {"a": {"scopes": ["system/*.rs"]}}}},
            "security.authorisation_server.clients.a: set one of jwks_url, jwks_file and jwks",
        ),
    ],
)
def test_security_that_would_not_hold_stops_the_start(security, line):
    with pytest.raises(SettingsError, match=re.escape(line)):
        load_settings(overrides={**MINIMAL, "security": security})


def test_tokens_are_asked_for_where_someone_gives_them():
    def access(**security):
        return load_settings(overrides={**MINIMAL, "security": security}).security.effective_access

    assert access() is None
    assert access(issuers=[ISSUER]) == "token"
    assert access(issuers=[ISSUER], access="open") == "open"
