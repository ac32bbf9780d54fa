"""The policy of the settings."""

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from gateway.security.policy import Policy
from gateway.security.policy_rules import RulesError, RulesFile
from gateway.settings import Settings
from gateway.wiring.fhir import terminology
from gateway.wiring.start import StartError

GROUP: Final = "mhd_xds_gateway.policies"
_KEY: Final = "security.policy"


def policy_of(whole: Settings) -> Policy | None:
    """What decides; None where nothing does. Raises StartError."""
    settings = whole.security.policy
    if settings is None:
        return None
    if settings.rules_file is not None:
        terms = terminology(whole)

        def oid_of(uri: str) -> str | None:
            return terms.code_systems.oid_or_none(uri) or terms.authorities.oid_or_none(uri)

        try:
            return RulesFile(settings.rules_file, oid_of)
        except RulesError as error:
            raise StartError(f"{_KEY}.rules_file: {settings.rules_file}: {error}") from None
        except OSError as error:
            raise StartError(f"{_KEY}.rules_file: {settings.rules_file}: {error.strerror}") from None
    assert settings.hook is not None
    factory = _factory(settings.hook)
    try:
        made: Policy = factory(**settings.options)
    except Exception as error:
        # code of the site; its text may quote the options
        raise StartError(f"{_KEY}.hook: {settings.hook}: fails with {type(error).__name__}") from error
    if not callable(getattr(made, "permits", None)):
        raise StartError(f"{_KEY}.hook: {settings.hook}: makes no policy, which has a method permits")
    return made


def _factory(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if not colon:
        (*found,) = entry_points(group=GROUP, name=name)
        if not found:
            raise StartError(f"{_KEY}.hook: {name}: is no entry point of {GROUP}, nor package.module:factory")
        return found[0].load()
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise StartError(f"{_KEY}.hook: {name}: {type(error).__name__}: cannot be imported") from None
