"""Rules of a site: what they say, and what is no rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fhir.terminology import Terminology
from gateway.model import Code, Cx, DocumentEntry
from gateway.model.claims import Claims, Coding
from gateway.security.policy import Asked, Matter
from gateway.security.policy_rules import RulesError, one_form, read_rules

FORM = one_form(Terminology().code_systems.oid_or_none)
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PATIENT = Cx("P1", "2.999.1.1")


def who(**changes):
    known = {
        "roles": (Coding("urn:oid:2.16.840.1.113883.2.9.6.2.7", "221"),),
        "purposes": (Coding(ACT_REASON, "TREAT"),),
        "organization": "Hospital A",
        "organization_id": "urn:oid:2.999.40.3",
        "home_community_id": "urn:oid:2.999.6",
    }
    return Claims("https://idp.example", "user-1", "client-1", **{**known, **changes})


def document(*confidentiality, **changes):
    codes = tuple(Code(code, "2.16.840.1.113883.5.25") for code in confidentiality)
    return Matter(
        PATIENT,
        DocumentEntry(
            entry_uuid="urn:uuid:1",
            unique_id="2.999.2",
            confidentiality=codes,
            class_code=Code("18842-5", "2.16.840.1.113883.6.1"),
            **changes,
        ),
    )


def permits(rules, asked=None, matter=None, action="search"):
    asked = asked or Asked(action, who())
    return read_rules(rules.encode(), FORM).permits(asked, matter or document("N"))


def test_without_a_rule_that_fits_the_default_holds_and_that_is_to_deny():
    assert not permits("rules: []")
    assert permits("default: permit")
    assert not permits("default: permit\nrules: [{name: a, effect: deny}]")


def test_the_first_rule_that_fits_decides():
    rules = "rules: [{name: a, effect: permit, when: {role: '221'}}, {name: b, effect: deny}]"
    assert permits(rules)
    assert not permits(rules, Asked("search", who(roles=())))


@pytest.mark.parametrize(
    "condition",
    [
        "action: search",
        "action: [read, search]",
        "role: '221'",
        "role: 'urn:oid:2.16.840.1.113883.2.9.6.2.7|221'",
        "role: '2.16.840.1.113883.2.9.6.2.7|221'",
        "purpose: TREAT",
        f"purpose: '{ACT_REASON}|TREAT'",
        "purpose: 'urn:oid:2.16.840.1.113883.5.8|TREAT'",
        "organization: Hospital A",
        "organization: '2.999.40.3'",
        "community: 'urn:oid:2.999.6'",
        "issuer: 'https://idp.example'",
        "client: client-1",
        "subject: user-1",
        "confidentiality: N",
        "confidentiality: 'urn:oid:2.16.840.1.113883.5.25|N'",
        "category: 'http://loinc.org|18842-5'",
        "patient: 'urn:oid:2.999.1.1|P1'",
        "kind: document",
        "consent: false",
        "consent_policy: null",
    ],
)
def test_each_condition_looks_at_what_it_is_about(condition):
    name = condition.partition(":")[0]
    assert permits(f"rules: [{{name: a, effect: permit, when: {{{condition}}}}}]")
    assert not permits(f"default: permit\nrules: [{{name: a, effect: deny, when: {{{condition}}}}}]")
    other = "read" if name == "action" else "something else"
    if name != "consent":
        assert not permits(f"rules: [{{name: a, effect: permit, when: {{{name}: '{other}'}}}}]")


def test_what_is_not_said_is_null():
    rules = "rules: [{name: a, effect: permit, when: {confidentiality: [N, null]}}]"
    assert permits(rules, matter=document())
    assert permits(rules, matter=document("N"))
    assert not permits(rules, matter=document("R"))
    assert not permits("rules: [{name: a, effect: permit, when: {role: '221'}}]", Asked("search", None))


def test_unless_takes_a_rule_back_where_all_of_it_fits():
    rules = """
default: permit
rules:
  - name: restricted
    effect: deny
    when: {confidentiality: [R, V]}
    unless: {purpose: TREAT, role: "221"}
"""
    assert permits(rules, matter=document("R"))
    assert not permits(rules, Asked("search", who(purposes=())), document("R"))
    assert not permits(rules, Asked("search", who(roles=())), document("V"))
    assert permits(rules, Asked("search", None), document("N"))


@pytest.mark.parametrize(
    ("claims", "given"),
    [
        ({}, False),
        ({"consent": "urn:consent:1"}, True),
        ({"consent_policy": "urn:oid:2.999.8"}, True),
        ({"consent": "urn:consent:1", "patient": "P1^^^&2.999.1.1&ISO"}, True),
        ({"consent": "urn:consent:1", "patient": "urn:oid:2.999.1.1|P1"}, True),
        ({"consent": "urn:consent:1", "patient": "P2^^^&2.999.1.1&ISO"}, False),
    ],
)
def test_a_consent_counts_for_the_patient_that_it_is_of(claims, given):
    rules = "rules: [{name: a, effect: permit, when: {consent: true}}]"
    assert permits(rules, Asked("search", who(**claims))) is given


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [", "is not YAML"),
        ("[]", "the file: must be a mapping"),
        ("default: maybe", "default: must be permit or deny"),
        ("rules: {}\n", None),
        ("rules: 7", "rules: must be a list"),
        ("rules: [{effect: deny}]", "rules.0.name: is not a text"),
        ("rules: [{name: a}]", "rules.0.effect: must be permit or deny"),
        ("rules: [{name: a, effect: deny, when: {rolle: x}}]", "rules.0.when: rolle is not one of"),
        (
            "rules: [{name: a, effect: deny, when: {role: 221}}]",
            "rules.0.when.role: each value must be a text",
        ),
        ("rules: [{name: a, effect: deny, when: {role: []}}]", "rules.0.when.role: has no value"),
        ("rules: [{name: a, effect: deny, when: {action: look}}]", "rules.0.when.action: must be among"),
        ("rules: [{name: a, effect: deny, when: [x]}]", "rules.0.when: must be a mapping"),
        ("rule: []", "the file: rule is not one of"),
    ],
)
def test_what_is_no_rule_is_named(text, said):
    if said is None:
        assert not read_rules(text.encode()).rules
        return
    with pytest.raises(RulesError, match=said):
        read_rules(text.encode())


@given(st.text(max_size=200))
def test_any_text_is_rules_or_an_error_that_names_what_is_wrong(text):
    try:
        read_rules(text.encode("utf-8", "replace"))
    except RulesError as error:
        assert str(error)
