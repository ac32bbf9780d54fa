"""What scopes grant, and that each route of the gateway needs some."""

import itertools

import pytest

from gateway.security.interactions import interaction_of
from gateway.security.scopes import Permission, Scopes, as_scope, permits, scope_names


def granted(*names):
    return {f"{p.resource_type}.{p.letter}" for p in Scopes.of(names).system}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["system/List.rs"], {"List.r", "List.s"}),
        (["system/List.read"], {"List.r", "List.s"}),
        (["system/List.write"], {"List.c", "List.u", "List.d"}),
        (["system/List.*"], {f"List.{letter}" for letter in "cruds"}),
        (["user/List.s"], {"List.s"}),
        (["system/List.search"], {"List.s"}),
        (["system/List.create"], {"List.c"}),
        (["system/List.read", "system/List.search"], {"List.r", "List.s"}),
        (["system/List.read", "system/Patient.search"], {"List.r", "List.s", "Patient.s"}),
        (["system/*.r"], {"*.r"}),
    ],
)
def test_scopes_of_each_style_grant(names, expected):
    assert granted(*names) == expected


@pytest.mark.parametrize(
    "name",
    [
        *("system/List.dus", "system/List.sr", "system/List.rr", "system/List.", "system/List", "List.rs"),
        *(
            "system/list.rs",
            "SYSTEM/List.rs",
            "system/List.rs?code=1",
            "system/*.rs?type=1",
            "system/List.rs ",
            "system/*List.rs",
        ),
        *("admin/List.rs", "openid", "fhirUser", "launch/patient", "ITI-99", "iti-67", "system//List.rs", ""),
    ],
)
def test_what_is_not_understood_grants_nothing(name):
    assert Scopes.of([name]) == Scopes()


def test_v2_letters_grant_in_their_order_alone():
    for length in range(1, 6):
        for letters in itertools.permutations("cruds", length):
            text = "".join(letters)
            in_order = list(text) == sorted(text, key="cruds".index)
            assert bool(granted(f"system/List.{text}")) == in_order, text


def test_names_of_transactions_and_patient_scopes_are_kept_apart_from_system_scopes():
    scopes = Scopes.of(["ITI-67", "patient/Binary.r"])
    assert scopes.system == frozenset()
    assert scopes.transactions == {Permission("DocumentReference", "r"), Permission("DocumentReference", "s")}
    assert scopes.patient == {Permission("Binary", "r")}
    assert not Scopes.of(["patient/*.rs"]).covers(Scopes.of(["system/List.r"]))
    assert not Scopes.of(["system/*.rs"]).covers(Scopes())


def test_a_scope_that_is_named_grants_what_it_was_named_for():
    needs = {Permission("List", "s"), Permission("Binary", "c"), Permission("List", "c")}
    again = Scopes.of(scope_names(as_scope(needs))).system
    assert all(permits(again, needed) for needed in needs)


@pytest.mark.parametrize("value", [None, 7, {}, [7], "x" * 10_000])
def test_scopes_that_are_no_text_are_none(value):
    assert scope_names(value) == ()


@pytest.mark.parametrize(
    ("method", "template"),
    [
        ("PUT", "/List/{id}"),
        ("DELETE", "/DocumentReference/{id}"),
        ("POST", "/List/$anything"),
        ("GET", "/unknown"),
        ("GET", "/{type}/{id}"),
        ("POST", "/content/{token}"),
        ("GET", "/List/{id}/$everything"),
    ],
)
def test_a_route_that_the_table_does_not_have_is_closed(method, template):
    assert interaction_of(method, template) is None


def test_the_console_is_a_scope_of_its_own_that_grants_nothing_else():
    console = Scopes.of(["console"])
    assert console.console
    assert not (console.system or console.transactions or console.patient)
    assert not Scopes.of(["system/*.cruds", "user/*.cruds", "patient/*.cruds", "system/console.r"]).console


def test_a_client_gets_the_scope_of_the_console_where_it_has_it():
    console, both, data = (Scopes.of(s.split()) for s in ("console", "console ITI-67", "ITI-67"))
    assert both.covers(console)
    assert both.covers(data)
    assert console.covers(console)
    assert not data.covers(console)
    assert not console.covers(data)
    assert not both.covers(Scopes())
