"""The studies, reports and their resources that one request is answered from.

A study is known by manifests and by reports. What reports say of a study is one resource with what its
manifests say, unless they disagree: then both are shown, and the disagreement is logged. Nothing is
reconciled, and locations of images come from manifests alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import partial

import structlog
from msgspec.structs import replace as changed

from gateway.fhir.datatypes import Json
from gateway.fhir.document_reference import resource_id
from gateway.fhir.found_study import FoundStudy, add_told, tells_more
from gateway.fhir.held import HeldResource, identifiers_in, study_uid
from gateway.fhir.imaging_elements import made_id
from gateway.fhir.manifest_read import NotAManifestError, read_manifest_bundle
from gateway.fhir.patient_view import write_domain_patient
from gateway.fhir.report_provenance import write_report_provenance
from gateway.fhir.report_view import ReportView
from gateway.fhir.study_differences import differences
from gateway.fhir.study_resources import (
    StudyContext,
    write_endpoints,
    write_orders,
    write_study,
    write_study_provenance,
)
from gateway.fhir.terminology import Terminology
from gateway.imaging.found import StudyNames
from gateway.imaging.patient_imaging import Gathered
from gateway.imaging.report_versions import current_reports, latest_first
from gateway.imaging.reports import KnownReport
from gateway.imaging.said_patients import said_by_documents, said_by_metadata
from gateway.imaging.studies import KnownStudy
from gateway.mhd.references import PatientReferences
from gateway.model import Cx, DocumentEntry
from gateway.model.imaging import RetrieveLocation
from gateway.model.releases import FhirRelease
from gateway.security.report_ids import ReportIds
from gateway.security.study_ids import StudyDocument

log = structlog.get_logger()

_STUDY, _ORDER = "ImagingStudy", "ServiceRequest"


@dataclass(frozen=True, slots=True)
class ShelfServices:
    """What resources are named and written with. `zone` is that of times without offset, `release` what they
    are to become.
    """

    names: StudyNames
    report_ids: ReportIds
    terminology: Terminology
    patients: PatientReferences
    zone: tzinfo | None
    base_url: str
    release: FhirRelease = FhirRelease.R4


class Shelf:
    """Studies and reports of one request, and the resources that are made of them."""

    def __init__(self, services: ShelfServices) -> None:
        self._services = services
        self._terminology = services.terminology
        self._known: dict[str, KnownStudy] = {}
        self._reported: dict[str, tuple[ReportView, str]] = {}
        """Studies that are shown as a report has them: by id, the report and the id of its resource."""
        self._by_id: dict[str, FoundStudy] = {}
        self._ids: dict[tuple[str, str | None, Cx], str] = {}
        self._held: dict[str, list[HeldResource]] = {}
        self._tellers: dict[str, list[Json]] = {}
        """Sources of a study besides its manifests, as Provenance.entity."""
        self._of_documents: list[HeldResource] = []
        self._named: dict[str, dict[str, Json]] = {}
        self._orders: dict[tuple[str, str], tuple[str, tuple[Json, ...]]] | None = None
        self._context = StudyContext(
            terminology=services.terminology,
            patient_reference=services.patients.of,
            address_of=self._address,
            default_zone=services.zone,
        )
        self._gathered = Gathered()
        self.asked: StudyDocument | None = None
        """What the id carries that a study is asked for by."""
        self.found: list[FoundStudy] = []
        self.views: list[ReportView] = []

    async def add(self, gathered: Gathered) -> None:
        """Put what was found on the shelf, so that the ids of its resources can be resolved later."""
        held = self._gathered
        self._gathered = Gathered(
            (*held.studies, *gathered.studies),
            (*held.reports, *gathered.reports),
            entries=(*held.entries, *gathered.entries),
        )
        names = self._services.names
        for known in gathered.studies:
            study = names.found(known, self.asked)
            if study is not None and study.id not in self._by_id:
                self._known[study.id] = known
                self._put(study)
                await names.remember(study, known.home_community_id)
        current = current_reports(gathered.reports, self._terminology)
        for report in latest_first(gathered.reports):
            view = self._view(report, report.entry.entry_uuid in current)
            self.views.append(view)
            if view.is_current and report.entry.patient_id is not None:
                for study in self._studies_of(view, report.entry.patient_id):
                    await names.remember(study, report.entry.home_community_id)

    def hold(self, provenances: Iterable[HeldResource]) -> None:
        """Put Provenance of documents on the shelf."""
        self._of_documents += provenances

    # --- studies ----------------------------------------------------------------------------------------
    def study(self, study_id: str) -> FoundStudy | None:
        """The study with this id."""
        return self._by_id.get(study_id)

    def resources(self, study: FoundStudy, resource_type: str) -> list[Json]:
        """The resources of a type that a study gives."""
        if resource_type == _STUDY:
            if study.id in self._reported:
                return [self._reported_study(study)]
            written = write_study(study, self._context)
            add_told(written, study.told)
            return [written]
        if resource_type == "Patient":
            patient = self.patient(study.patient_id)
            return [patient] if patient else []
        if study.id in self._reported:
            return []
        if resource_type == _ORDER:
            return write_orders(study, self._context)
        if resource_type == "Endpoint":
            return write_endpoints(study, self._context)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        provenance = write_study_provenance(study, self._context, now)
        provenance["entity"] += self._tellers.get(study.id, ())
        return [provenance]

    def of_patient(self, uid: str, home: str | None, patient: Cx) -> FoundStudy | None:
        """The first study with this Study Instance UID, of manifests where they have it."""
        return self._by_id.get(self._ids.get((uid, home, patient), ""))

    def _put(self, study: FoundStudy) -> None:
        self._by_id[study.id] = study
        if study.patient_id is not None:
            key = study.study.study_instance_uid, study.home_community_id, study.patient_id
            self._ids.setdefault(key, study.id)
        self.found.append(study)

    def _studies_of(self, view: ReportView, patient: Cx) -> Iterator[FoundStudy]:
        """Studies that a report shows and that are not on the shelf as they are."""
        entry = view.entry
        for held_id, content in view.named(_STUDY):
            uid = study_uid(content)
            try:
                read = read_manifest_bundle(content, self._terminology).manifest
            except NotAManifestError as error:
                log.warning("report.study_unreadable", reason=str(error))
                continue
            uid = uid or read.study.study_instance_uid
            identity = self._services.names.identity(uid, patient, entry, self.asked)
            own_id = self._services.names.ids.write(identity)
            known = self.of_patient(uid, entry.home_community_id, patient)
            if known is not None:
                differing = differences(known.study, read.study)
                if not differing:
                    self._tell(known, view, held_id)
                    continue
                log.warning("study.sources_differ", elements=list(differing))
            study = FoundStudy(
                id=own_id if known is None else held_id,
                study=read.study,
                entry_uuid=entry.entry_uuid,
                unique_id=entry.unique_id,
                patient_id=patient,
                home_community_id=entry.home_community_id,
                updated=entry.creation_time,
                utc_offset=read.utc_offset,
                part_id=partial(self._services.names.ids.write_part, identity),
                is_retrievable=False,
                told=self._held_study(view, held_id) if tells_more(content) else {},
            )
            self._reported[study.id] = (view, held_id)
            self._put(study)
            yield study

    def _tell(self, known: FoundStudy, view: ReportView, held_id: str) -> None:
        """Let a study of manifests have what the latest report on it tells besides."""
        if known.told or not known.is_retrievable:
            return
        told = self._held_study(view, held_id)
        if tells_more(told):
            with_told = changed(known, told=told)
            self._by_id[known.id] = with_told
            self.found[self.found.index(known)] = with_told
            document = {"reference": f"DocumentReference/{resource_id(view.entry)}"}
            self._tellers[known.id] = [{"role": "source", "what": document}]

    def _held_study(self, view: ReportView, held_id: str) -> Json:
        return next(held.resource for held in view.of_kind(_STUDY) if held.id == held_id)

    def _reported_study(self, study: FoundStudy) -> Json:
        """ImagingStudy as a report has it, with the endpoints that manifests give its series."""
        view, held_id = self._reported[study.id]
        resource = self._held_study(view, held_id)
        resource["id"] = study.id
        manifest = self._of_uid(study.study.study_instance_uid, study.home_community_id)
        if manifest is None:
            return resource
        endpoints = {
            series["uid"]: series["endpoint"]
            for series in write_study(manifest, self._context).get("series", ())
            if "endpoint" in series
        }
        for series in resource.get("series", ()):
            if isinstance(series, dict) and series.get("uid") in endpoints:
                series["endpoint"] = endpoints[series["uid"]]
        return resource

    def _of_uid(self, uid: str, home: str | None) -> FoundStudy | None:
        """The study as manifests have it."""
        matching = (
            s for s in self.found
            if s.is_retrievable and s.study.study_instance_uid == uid and s.home_community_id == home
        )  # fmt: skip
        return next(matching, None)

    def _address(self, study: FoundStudy, place: RetrieveLocation) -> str | None:
        return self._services.names.address(self._known[study.id], place)

    # --- resources of reports ---------------------------------------------------------------------------
    def held(self, kind: str) -> list[HeldResource]:
        """The resources of a type that documents hold, each once."""
        if kind not in self._held:
            found = [held for view in self.views for held in view.of_kind(kind)]
            if kind == _ORDER:
                found += self._orders_besides(found)
            elif kind == "Provenance":
                found += [*self._provenances(), *self._of_documents]
            self._held[kind] = list({held.id: held for held in found}.values())
        return self._held[kind]

    def current(self, kind: str) -> list[Json]:
        """The resources of a type as a search without further parameters finds them."""
        if kind == _STUDY:
            return [self.resources(study, _STUDY)[0] for study in self.found]
        return [held.resource for held in self.held(kind) if held.is_current]

    def referenced(self, literal: str) -> Json | None:
        """What a reference of this server names, where it is on the shelf."""
        kind, _, name = literal.rpartition("/")
        if kind == _STUDY:
            study = self._by_id.get(name)
            return self.resources(study, _STUDY)[0] if study is not None else None
        if kind not in self._named:
            self._named[kind] = {resource["id"]: resource for resource in self._of_kind(kind)}
        return self._named[kind].get(name)

    def _of_kind(self, kind: str) -> Iterator[Json]:
        if kind == "Patient":
            yield from self.patients()
            return
        if kind in (_ORDER, "Endpoint"):
            yield from (r for study in self.found for r in self.resources(study, kind))
        yield from (held.resource for held in self.held(kind))

    def patients(self) -> list[Json]:
        """The patients of what is on the shelf."""
        owners = [view.entry.patient_id for view in self.views]
        owners += [study.patient_id for study in self.found]
        made = (self.patient(patient) for patient in dict.fromkeys(owners))
        return [patient for patient in made if patient is not None]

    def patient(self, patient: Cx | None) -> Json | None:
        """The patient of the affinity domain, with what their documents say of them."""
        reference = self._services.patients.of(patient).get("reference") if patient is not None else None
        if patient is None or not isinstance(reference, str):
            return None
        of_patient = [entry for entry in self._gathered.entries if entry.patient_id == patient]
        said = said_by_metadata(of_patient, self._terminology)
        if not said:
            said = said_by_documents(self._gathered, self._terminology)
        number = reference.removeprefix("Patient/")
        return write_domain_patient(patient, number, said, self._terminology)[0]

    def _orders_besides(self, reported: Iterable[HeldResource]) -> list[HeldResource]:
        """Orders that manifests name and no report shows."""
        shown = [self._keys(held.resource) for held in reported if held.is_current]
        found = []
        for study in self.found:
            for order in self.resources(study, _ORDER):
                # a number without issuer, such as a Requested Procedure ID, names no order beyond its source
                keys = {key for key in self._keys(order) if key[0]}
                if not (keys and any(keys <= other for other in shown)):
                    found.append(_of_study(study, order))
        return found

    def _provenances(self) -> list[HeldResource]:
        made = [_of_study(s, r) for s in self.found for r in self.resources(s, "Provenance")]
        for view in self.views:
            entry = view.entry
            names = _Names(self, self._services, entry)
            resource = write_report_provenance(
                entry, names.entry_id("Provenance", ""), view.references(), resource_id(entry)
            )
            made.append(
                HeldResource(
                    id=resource["id"],
                    resource=resource,
                    document_uuid=entry.entry_uuid,
                    unique_id=entry.unique_id,
                    patient_id=entry.patient_id,
                    status=entry.status,
                    updated=entry.creation_time,
                    is_current=view.is_current,
                )
            )
        return made

    def _view(self, report: KnownReport, is_current: bool) -> ReportView:
        return ReportView(
            report.entry,
            report.content,
            _Names(self, self._services, report.entry),
            is_current,
            lists_results=self._services.release is FhirRelease.R5,
        )

    def _keys(self, resource: Json) -> frozenset[tuple[str, str]]:
        listed = resource.get("identifier")
        return frozenset(identifiers_in(listed if isinstance(listed, list) else (), self._terminology))

    # --- what references by identifier name -------------------------------------------------------------
    def named_study(self, uid: str, home: str | None) -> tuple[str, tuple[Json, ...]] | None:
        """`Type/id` and identifiers of a study and its orders, where it is on the shelf."""
        for study in self.found:
            if study.study.study_instance_uid == uid and study.home_community_id == home:
                orders = [i for o in self.resources(study, _ORDER) for i in o["identifier"]]
                return f"{_STUDY}/{study.id}", tuple(orders)
        return None

    def named_order(self, key: tuple[str, str]) -> tuple[str, tuple[Json, ...]] | None:
        """`Type/id` and identifiers of an order with a number."""
        if self._orders is None:
            self._orders = {}
            for study in self.found:
                for order in self.resources(study, _ORDER):
                    named = f"{_ORDER}/{order['id']}", tuple(order["identifier"])
                    for each in self._keys(order):
                        self._orders.setdefault(each, named)
        return self._orders.get(key)


def _of_study(study: FoundStudy, resource: Json) -> HeldResource:
    return HeldResource(
        id=resource["id"],
        resource=resource,
        document_uuid=study.entry_uuid,
        unique_id=study.unique_id,
        patient_id=study.patient_id,
        updated=study.updated,
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """Names of what a report refers to; see `ReportNames`."""

    shelf: Shelf
    services: ShelfServices
    entry: DocumentEntry

    def entry_id(self, kind: str, name: str) -> str:
        lasting = self.entry.logical_id or self.entry.entry_uuid
        return self.services.report_ids.write(lasting, kind, name) or made_id(lasting, kind, name)

    def patient(self) -> Json:
        patient = self.entry.patient_id
        return self.services.patients.of(patient) if patient is not None else {"display": "unknown"}

    def study(self, study_instance_uid: str) -> str:
        patient = self.entry.patient_id or Cx("", "")
        known = self.shelf.of_patient(study_instance_uid, self.entry.home_community_id, patient)
        if known is not None:
            return known.id
        names, asked = self.services.names, self.shelf.asked
        return names.ids.write(names.identity(study_instance_uid, patient, self.entry, asked))

    def linked(self, reference: Json) -> tuple[str, tuple[Json, ...]] | None:
        uid = study_uid(reference)
        if uid is not None:
            return self.shelf.named_study(uid, self.entry.home_community_id)
        keys = identifiers_in([reference.get("identifier")], self.services.terminology)
        named = (self.shelf.named_order(key) for key in keys if key[0])
        return next((found for found in named if found is not None), None)

    def document(self) -> str:
        return f"{self.services.base_url}/DocumentReference/{resource_id(self.entry)}"
