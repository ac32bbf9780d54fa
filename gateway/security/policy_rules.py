"""The policy as a file of rules (YAML):

    default: deny                # where no rule fits; or permit
    rules:                       # the first one that fits decides
      - name: psychiatry is for the treating alone
        effect: deny
        when: {confidentiality: [R, V]}
        unless: {purpose: [TREAT], role: ["urn:oid:2.16.840.1.113883.2.9.6.2.7|221"]}

`when` fits where each of its conditions does, `unless` takes the rule back where each of its own does. A
condition fits where one of its values is there: a text, a code as `code` or `system|code`, or null for what
is not said. The file is read again when it has changed.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import structlog
import yaml  # type: ignore[import-untyped]  # its types are a package of their own
from msgspec import Struct

from gateway.model import Code, Cx
from gateway.model.claims import Claims, Coding
from gateway.model.oids import bare_oid
from gateway.security.policy import Asked, Matter
from gateway.watched_files import WatchedFiles

_LARGEST: Final = 1024 * 1024
_ACTIONS: Final = frozenset({"search", "read", "retrieve", "images", "publish"})
_NOBODY: Final = Claims("", "", "")

log = structlog.get_logger()


class RulesError(ValueError):
    """The file holds no rules that can be used; the text names the place and what is wrong."""


Form = Callable[[str], str]
"""Brings texts of rules and of who asks into one form."""


def one_form(oid_of: Callable[[str], str | None]) -> Form:
    """`system|code` with the OID of the system, OIDs without `urn:oid:`: however each side writes them."""

    def form(text: str) -> str:
        system, bar, code = text.rpartition("|")
        return f"{oid_of(system) or bare_oid(system)}|{code}" if bar else bare_oid(text)

    return form


class Condition(Struct, frozen=True):
    """One condition; None among `values` stands for nothing said."""

    name: str
    values: frozenset[str | None]
    form: Form

    def fits(self, asked: Asked, matter: Matter) -> bool:
        """Whether one of the values is there."""
        said = set(map(self.form, _SAID[self.name](asked, matter)))
        return not self.values.isdisjoint(said or (None,))


class Rule(Struct, frozen=True):
    """One rule."""

    name: str
    permit: bool
    when: tuple[Condition, ...]
    unless: tuple[Condition, ...]

    def fits(self, asked: Asked, matter: Matter) -> bool:
        """Whether it decides."""
        if not all(condition.fits(asked, matter) for condition in self.when):
            return False
        return not self.unless or not all(condition.fits(asked, matter) for condition in self.unless)


class Rules(Struct, frozen=True):
    """Rules in their order."""

    rules: tuple[Rule, ...]
    permit: bool

    def permits(self, asked: Asked, matter: Matter) -> bool:
        """What the first rule that fits says, else the default."""
        for rule in self.rules:
            if rule.fits(asked, matter):
                if not rule.permit:
                    log.info("policy.denied", rule=rule.name, action=asked.action)
                return rule.permit
        if not self.permit:
            log.info("policy.denied", rule=None, action=asked.action)
        return self.permit


class RulesFile:
    """A policy of a file."""

    def __init__(self, path: Path, oid_of: Callable[[str], str | None]) -> None:
        """`oid_of` gives the OID of a code system or an authority. Raises RulesError and OSError."""
        form = one_form(oid_of)
        self._rules = WatchedFiles([path], lambda: read_rules(path.read_bytes(), form))

    async def permits(self, asked: Asked, matters: Sequence[Matter]) -> Sequence[bool]:
        """See `Policy`."""
        rules = self._rules()
        return [rules.permits(asked, matter) for matter in matters]


def read_rules(content: bytes, form: Form = bare_oid) -> Rules:
    """Rules of a YAML text. Raises RulesError."""
    if len(content) > _LARGEST:
        raise RulesError(f"more than {_LARGEST} bytes")
    try:
        read = yaml.safe_load(content)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise RulesError(f"{f'line {mark.line + 1}: ' if mark else ''}is not YAML") from None
    found = _mapping(read, "the file", {"default", "rules"})
    rules = found.get("rules") or []
    if not isinstance(rules, list):
        raise RulesError("rules: must be a list")
    return Rules(
        tuple(_rule(rule, f"rules.{number}", form) for number, rule in enumerate(rules)),
        _effect(found.get("default", "deny"), "default") == "permit",
    )


def _rule(read: Any, place: str, form: Form) -> Rule:
    found = _mapping(read, place, {"name", "effect", "when", "unless"})
    name = found.get("name")
    if not isinstance(name, str) or not name:
        raise RulesError(f"{place}.name: is not a text")
    return Rule(
        name,
        _effect(found.get("effect"), f"{place}.effect") == "permit",
        _conditions(found.get("when"), f"{place}.when", form),
        _conditions(found.get("unless"), f"{place}.unless", form),
    )


def _conditions(read: Any, place: str, form: Form) -> tuple[Condition, ...]:
    found = _mapping(read or {}, place, set(_SAID))
    return tuple(
        Condition(name, _values(value, name, f"{place}.{name}", form), form) for name, value in found.items()
    )


def _values(read: Any, name: str, place: str, form: Form) -> frozenset[str | None]:
    values = read if isinstance(read, list) else [read]
    if not values:
        raise RulesError(f"{place}: has no value")
    texts: set[str | None] = set()
    for value in values:
        if isinstance(value, bool) and name == "consent":
            texts.add("yes" if value else None)
        elif value is None:
            texts.add(None)
        elif isinstance(value, str) and value:
            texts.add(form(value))
        else:
            # YAML reads 221 as a number: quoting it keeps leading zeros
            raise RulesError(f"{place}: each value must be a text in quotes, or null")
    if name == "action" and not texts <= _ACTIONS:
        raise RulesError(f"{place}: must be among {', '.join(sorted(_ACTIONS))}")
    return frozenset(texts)


def _mapping(read: Any, place: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(read, dict):
        raise RulesError(f"{place}: must be a mapping")
    for key in read:
        if key not in known:
            raise RulesError(f"{place}: {str(key)[:40]} is not one of {', '.join(sorted(known))}")
    return read


def _effect(read: Any, place: str) -> Literal["permit", "deny"]:
    if read == "permit":
        return "permit"
    if read == "deny":
        return "deny"
    raise RulesError(f"{place}: must be permit or deny")


# --- what is said -------------------------------------------------------------------------------------------
def _codings(codings: Sequence[Coding]) -> set[str]:
    return {text for each in codings for text in (each.code, f"{each.system}|{each.code}")}


def _codes(codes: Sequence[Code]) -> set[str]:
    return {text for each in codes for text in (each.code, f"{each.scheme}|{each.code}")}


def _texts(*texts: str | None) -> set[str]:
    return {text for text in texts if text}


def _patient(patient: Cx | None) -> set[str]:
    return set() if patient is None else {f"{patient.authority}|{patient.id}"}


def _categories(matter: Matter) -> set[str]:
    """Class, type and event codes, of which one is the priority category of the EU where there is one."""
    entry = matter.entry
    if entry is None:
        return set()
    coded = (entry.class_code, entry.type_code, *entry.event_codes)
    return _codes([code for code in coded if code is not None])


def _consent(asked: Asked, matter: Matter) -> set[str]:
    """`yes` where the token names a consent, which is that of this patient where it says whose."""
    claims = asked.claims or _NOBODY
    if claims.consent is None and claims.consent_policy is None:
        return set()
    if claims.patient is None or matter.patient is None:
        return {"yes"}
    number, authority = matter.patient.id, matter.patient.authority
    ours = {f"{number}^^^&{authority}&ISO", f"{authority}|{number}", f"urn:oid:{authority}|{number}"}
    return {"yes"} if claims.patient in ours else set()


_SAID: Final[dict[str, Callable[[Asked, Matter], set[str]]]] = {
    "action": lambda asked, _: {asked.action},
    "issuer": lambda asked, _: _texts((asked.claims or _NOBODY).issuer),
    "client": lambda asked, _: _texts((asked.claims or _NOBODY).client_id),
    "subject": lambda asked, _: _texts((asked.claims or _NOBODY).subject),
    "organization": lambda asked, _: _texts(
        (asked.claims or _NOBODY).organization_id, (asked.claims or _NOBODY).organization
    ),
    "community": lambda asked, _: _texts((asked.claims or _NOBODY).home_community_id),
    "role": lambda asked, _: _codings((asked.claims or _NOBODY).roles),
    "purpose": lambda asked, _: _codings((asked.claims or _NOBODY).purposes),
    "consent": _consent,
    "consent_policy": lambda asked, _: _texts((asked.claims or _NOBODY).consent_policy),
    "patient": lambda _, matter: _patient(matter.patient),
    "confidentiality": lambda _, matter: _codes(matter.entry.confidentiality if matter.entry else ()),
    "category": lambda _, matter: _categories(matter),
    "document_community": lambda _, matter: _texts(matter.entry.home_community_id if matter.entry else None),
    "kind": lambda _, matter: {"document" if matter.entry else "set"},
}
"""What a condition looks at, by its name; nothing where it is not said."""
