"""What the request that is being handled may see, wherever in the gateway that is asked.

Access is a context of the request: tasks that it starts have it too. Without one, as in commands of an
operator and with open access, everything may be seen. Who is bound to a patient (SMART `patient/` scopes, the
claim `ihe_bppc.patient_id` of IHE IUA) is kept to that patient here, at the one place through which metadata
and documents come, and here the policy of the site decides about each of them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal

import structlog
from msgspec import Struct
from msgspec.structs import replace

from gateway.model import Cx, DocumentEntry, QueryResult, Submission
from gateway.model.claims import Claims
from gateway.model.query import StoredQuery
from gateway.security.policy import Action, Asked, Denied, Matter, Policy, PolicyUnavailable
from gateway.security.scopes import Permission, permits
from gateway.security.subjects import about_patients, about_submission, only_patient


class OtherPatient(Exception):
    """The request is about another patient than the one that its token is bound to."""


class NotGranted(Exception):
    """The token grants the request, but not all that it brings along; `needed` is what is missing."""

    def __init__(self, needed: frozenset[Permission]) -> None:
        super().__init__("not granted")
        self.needed = needed


class OwnAssertion(Struct, frozen=True):
    """A verified assertion with the bytes that its signature is good for.

    `audiences` are sets of names of which a receiver has to bear one each; `expires` is in seconds since
    1970, as is the end of a token.
    """

    content: bytes
    audiences: tuple[frozenset[str], ...]
    expires: float
    treatment: bool = False
    """Whether one of the treatment relationship (eHDSI TRC) follows it."""


class Access(Struct, frozen=True):
    """Of one request: who asks, what may come along, and the only patient that may be seen (None: all).

    `assertion` is a SAML assertion that the client brought itself. Where there is a `policy`, it decides
    about the `action` besides; with `reads` what it denies is told, else left out.
    """

    client_id: str
    granted: frozenset[Permission]
    patient: Cx | None = None
    others: Literal["forbidden", "not-found"] = "forbidden"
    claims: Claims | None = None
    assertion: OwnAssertion | None = None
    policy: Policy | None = None
    action: Action = "search"
    reads: bool = False


log = structlog.get_logger()

_access: ContextVar[Access | None] = ContextVar("access", default=None)

_about: ContextVar[Cx | None] = ContextVar("about", default=None)


@contextmanager
def about(patient: Cx | None) -> Iterator[None]:
    """What is asked of peers in here is about this patient."""
    before = _about.set(patient)
    try:
        yield
    finally:
        _about.reset(before)


def patient_in_question() -> Cx | None:
    """Whom peers are asked about, where that is known: by the request to the peer, by the token, or by what
    the URL that is retrieved says."""
    return _about.get() or bound_patient() or only_patient()


@contextmanager
def acting_with(access: Access) -> Iterator[None]:
    """Handle what is inside with this access."""
    before = _access.set(access)
    try:
        yield
    finally:
        _access.reset(before)


def current_access() -> Access | None:
    """What the request may see and who asks; None without one."""
    return _access.get()


def current_claims() -> Claims | None:
    """Who asks; None where nobody had to say it."""
    access = _access.get()
    return None if access is None else access.claims


@contextmanager
def for_any_patient() -> Iterator[None]:
    """Ask what is inside without the limit to one patient.

    Another community knows the patient by another identifier, by which the limit would refuse him. Whoever
    asks it so has to call `check_query` before and `only_visible` for the answer in own identifiers.
    """
    before = _access.get()
    if before is None or (before.patient is None and before.policy is None):
        yield
        return
    with acting_with(replace(before, patient=None, policy=None)):
        yield


def is_limited() -> bool:
    """Whether what a URL leads to has to be looked up, to see whether it may be seen."""
    access = _access.get()
    return access is not None and (access.patient is not None or access.policy is not None)


def bound_patient() -> Cx | None:
    """The only patient that may be seen, None where all may."""
    access = _access.get()
    return None if access is None else access.patient


def require_types(resource_types: Iterable[str]) -> None:
    """Raise NotGranted unless resources of these types may be read, where they come along with others."""
    access = _access.get()
    if access is not None:
        wanted = (Permission(name, "r") for name in resource_types)
        missing = frozenset(one for one in wanted if not any(permits(access.granted, p) for p in _alike(one)))
        if missing:
            raise NotGranted(missing)


def _alike(wanted: Permission) -> tuple[Permission, ...]:
    """An ImagingSelection of FHIR R5 is a Basic in R4, under the same id."""
    kinds = _SELECTIONS if wanted.resource_type in _SELECTIONS else (wanted.resource_type,)
    return tuple(Permission(kind, wanted.letter) for kind in kinds)


_SELECTIONS: Final = ("Basic", "ImagingSelection")


def require_patient(patient: Cx | None) -> None:
    """Raise OtherPatient unless this patient may be seen; what is of no known patient is of another."""
    if patient is not None:
        about_patients((patient,))
    bound = bound_patient()
    if bound is not None and patient != bound:
        raise OtherPatient


def visible(patients: Iterable[Cx]) -> tuple[Cx, ...]:
    """Those of `patients` that may be seen. Raises OtherPatient where none may and others are not hidden."""
    access = _access.get()
    patients = tuple(patients)
    if access is None or access.patient is None:
        about_patients(patients)
        return patients
    about_patients((access.patient,))
    kept = tuple(patient for patient in patients if patient == access.patient)
    if patients and not kept and access.others == "forbidden":
        raise OtherPatient
    return kept


def check_query(query: StoredQuery) -> None:
    """Raise OtherPatient for a query about a patient that may not be seen, before anybody is asked."""
    if hasattr(query, "patient_id"):
        require_patient(query.patient_id)


def shows_only_visible(queries: Iterable[StoredQuery]) -> bool:
    """False where the answers may hold objects that may not be seen. Raises OtherPatient as `check_query`."""
    access = _access.get()
    if access is not None and access.policy is not None:
        # what was permitted to one client, or a while ago, is decided again
        return False
    limited = bound_patient() is not None
    for query in queries:
        check_query(query)
        if limited and not hasattr(query, "patient_id"):
            return False
    return True


async def only_visible(result: QueryResult) -> QueryResult:
    """The answer to a query without objects of other patients, and without those that the policy denies.

    Raises OtherPatient where others are not hidden, Denied and PolicyUnavailable.
    """
    access = _access.get()
    if access is None:
        about_patients(_patients(result))
        return result
    if access.patient is not None:
        kept = _kept(result, lambda item: item.patient_id == access.patient)
        if access.others == "forbidden" and _objects(kept) < _objects(result):
            raise OtherPatient
        result = kept
    # what a publish is compared with is not shown
    if access.policy is not None and access.action != "publish":
        result = await _permitted(result, access, access.policy)
    about_patients(_patients(result))
    return result


async def permitted_patients(patients: Iterable[Cx]) -> frozenset[Cx]:
    """Those of `patients` who may be seen, by the token and by the policy. Raises PolicyUnavailable."""
    listed = tuple(dict.fromkeys(patients))
    access = _access.get()
    if access is not None and access.patient is not None:
        listed = tuple(patient for patient in listed if patient == access.patient)
    if access is not None and access.policy is not None and listed:
        asked = Asked(access.action, access.claims)
        decisions = await _decided(access.policy, asked, [Matter(patient) for patient in listed])
        listed = tuple(p for p, permitted in zip(listed, decisions, strict=True) if permitted)
    about_patients(listed)
    return frozenset(listed)


async def require_permitted_patient(patient: Cx) -> None:
    """Raise OtherPatient unless a patient may be seen, also where it is the policy that does not let it and
    others are hidden; else Denied then. Raises PolicyUnavailable."""
    require_patient(patient)
    access = _access.get()
    if access is not None and not await permitted_patients((patient,)):
        raise OtherPatient if access.others == "not-found" else Denied


async def _permitted(result: QueryResult, access: Access, policy: Policy) -> QueryResult:
    objects: tuple[Any, ...] = (*result.entries, *result.submission_sets, *result.folders)
    if not objects:
        return result
    matters = [Matter(each.patient_id, each if isinstance(each, DocumentEntry) else None) for each in objects]
    decisions = await _decided(policy, Asked(access.action, access.claims), matters)
    denied = {id(each) for each, permitted in zip(objects, decisions, strict=True) if not permitted}
    if access.reads and access.others == "forbidden" and len(denied) == len(objects):
        raise Denied
    return _kept(result, lambda item: id(item) not in denied) if denied else result


async def _decided(policy: Policy, asked: Asked, matters: Sequence[Matter]) -> Sequence[bool]:
    try:
        decisions = await policy.permits(asked, matters)
        if len(decisions) != len(matters):
            raise ValueError("not one decision for each matter")
    except Exception as error:
        # a policy of the site may fail in any way, and may quote what it was asked
        log.error("policy.failed", error=type(error).__name__)
        raise PolicyUnavailable from error
    return decisions


def _kept(result: QueryResult, shown: Callable[[Any], bool]) -> QueryResult:
    return replace(
        result,
        entries=tuple(filter(shown, result.entries)),
        submission_sets=tuple(filter(shown, result.submission_sets)),
        folders=tuple(filter(shown, result.folders)),
    )


async def check_submission(submission: Submission) -> None:
    """Raise OtherPatient where something of it is for a patient that may not be seen, Denied where the policy
    does not let it be published, PolicyUnavailable."""
    about_submission(submission)
    if bound_patient() is not None:
        require_patient(submission.submission_set.patient_id)
        for entry in submission.entries:
            require_patient(entry.patient_id)
        for folder in submission.folders:
            require_patient(folder.patient_id)
    access = _access.get()
    if access is not None and access.policy is not None:
        matters = [
            Matter(submission.submission_set.patient_id),
            *(Matter(entry.patient_id, entry) for entry in submission.entries),
        ]
        if not all(await _decided(access.policy, Asked("publish", access.claims), matters)):
            raise Denied


def _patients(result: QueryResult) -> Iterator[Cx]:
    for of_kind in (result.entries, result.submission_sets, result.folders):
        yield from (item.patient_id for item in of_kind if item.patient_id is not None)


def _objects(result: QueryResult) -> int:
    return len(result.entries) + len(result.submission_sets) + len(result.folders)
