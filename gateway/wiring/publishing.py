"""What submissions are completed with, from the settings: sources, defaults and tables (ITI-105, ITI-106)."""

import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import yaml  # type: ignore[import-untyped]  # its types are a package of their own

from gateway.domain_settings import RepositorySettings
from gateway.fhir.provide_policy import PublishPolicy
from gateway.fhir.terminology import Terminology, UnmappedError
from gateway.mhd.sources import PublishingSources
from gateway.model import Code, codes
from gateway.model.imaging_codes import FORMAT_FHIR_MANIFEST, MADO_FORMAT_CODES
from gateway.model.metadata import Organization
from gateway.model.oids import bare_oid, is_oid
from gateway.model.publishing import CodeKey, DocumentDefaults, MetadataTables, PublishingSource
from gateway.publish_settings import CodeSettings, DocumentDefaultsSettings
from gateway.settings import Settings, SettingsError

_FILE: Final = "document-formats.yaml"
_SCHEMES: Final = {FORMAT_FHIR_MANIFEST: MADO_FORMAT_CODES}
"""Formats of IHE that are of another code system than the others."""


def publishing_sources(settings: Settings, terminology: Terminology, base_url: str) -> PublishingSources:
    """The sources of `publish`. Raises SettingsError where a code system is not mapped."""
    publish = settings.publish
    common = _defaults(publish.defaults, terminology, "publish.defaults")
    fallback = PublishingSource(source_id=publish.source_id or own_source_id(base_url), defaults=common)
    by_client = {}
    for name, source in publish.sources.items():
        own = _defaults(source.defaults, terminology, f"publish.sources.{name}.defaults")
        institution = source.institution
        by_client[name] = PublishingSource(
            source_id=source.source_id,
            institution=Organization(institution.name, institution.oid) if institution else None,
            defaults=_over(own, common),
        )
    return PublishingSources(fallback, by_client)


def metadata_tables(settings: Settings, terminology: Terminology) -> MetadataTables:
    """The tables of `publish` over the built-in ones. Raises SettingsError as `publishing_sources`."""
    publish = settings.publish
    class_codes = {}
    for key, value in publish.class_codes.items():
        system, _, code = key.rpartition("|")
        place = f"publish.class_codes.{key}"
        type_key: CodeKey = (code, _scheme(system, terminology, place))
        class_codes[type_key] = _code(value, terminology, place)
    own = {
        template: _code(value, terminology, f"publish.format_codes.{template}")
        for template, value in publish.format_codes.items()
    }
    return MetadataTables(
        class_codes=class_codes,
        format_codes={**builtin_formats(), **own},
        patient_authorities=_preferred_authorities(settings),
        accession_authorities=frozenset(publish.accession_authorities),
    )


def _preferred_authorities(settings: Settings) -> frozenset[str]:
    """Authorities of the patient identifiers that are taken of several in a document."""
    if settings.patient_manager is not None:
        return frozenset((settings.patient_manager.domain, *settings.search.patient_authorities))
    return frozenset(settings.terminology.assigning_authorities.values())


def publish_policy(settings: Settings, repository: RepositorySettings) -> PublishPolicy:
    """What becomes of a Bundle that the repository does not take whole."""
    publish = settings.publish
    return PublishPolicy(
        limited_metadata=repository.limited_metadata,
        cannot=frozenset(repository.does_not_take),
        leave_out=publish.not_taken == "leave_out",
        known_recipients=frozenset(_recipient(name) for name in publish.recipients),
        unknown_recipients=publish.unknown_recipient,
        older_clients=publish.older_clients,
        reports=settings.reports.check,
    )


def _recipient(name: str) -> str:
    """An e-mail address in any letter case, the authority of an identifier as bare OID."""
    authority, bar, value = name.partition("|")
    if bar:
        return f"{bare_oid(authority)}|{value}"
    return name.lower() if "@" in name else name


def own_source_id(base_url: str) -> str:
    """An OID that is this gateway's alone, and the same after every start."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, base_url).int}"


@cache
def builtin_formats() -> Mapping[str, Code]:
    """Formats of IHE by template."""
    here = Path(__file__).resolve()
    packed = here.parents[1] / "_data" / "config" / _FILE
    path = packed if packed.is_file() else here.parents[2] / "config" / _FILE
    table: dict[str, str] = yaml.safe_load(path.read_text("utf-8"))
    return {
        template: Code(code, _SCHEMES.get(code, codes.FORMAT_CODE_OID), code)
        for template, code in table.items()
    }


def _scheme(system: str, terminology: Terminology, place: str) -> str:
    if is_oid(bare_oid(system)):
        return bare_oid(system)
    try:
        return terminology.code_systems.oid(system)
    except UnmappedError as error:
        raise SettingsError(f"{place}: {error}") from None


def _code(value: CodeSettings, terminology: Terminology, place: str) -> Code:
    return Code(value.code, _scheme(value.system, terminology, place), value.display or value.code)


def _defaults(section: DocumentDefaultsSettings, terminology: Terminology, place: str) -> DocumentDefaults:
    values: dict[str, Code] = {}
    for name in DocumentDefaults.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, CodeSettings):
            values[name] = _code(value, terminology, f"{place}.{name}")
    return DocumentDefaults(language=section.language, **values)


def _over(own: DocumentDefaults, common: DocumentDefaults) -> DocumentDefaults:
    names = DocumentDefaults.__struct_fields__
    return DocumentDefaults(**{name: getattr(own, name) or getattr(common, name) for name in names})
