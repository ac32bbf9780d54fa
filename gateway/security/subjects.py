"""What the request being answered turns out to be about, and who asks it: for its audit record.

The places that decide what may be seen say here what was seen. `Subjects` is a context of the request, as
its `Access` is: tasks that it starts share it. Outside of a request nothing is kept.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from gateway.model import Cx, Submission
from gateway.model.claims import Claims
from gateway.security.document_urls import DocumentKey

_MOST_PATIENTS = 100
"""One record is written for each."""


class Subjects:
    """Collected while one request is answered. `actor` is None where nobody is known to ask."""

    def __init__(self) -> None:
        self.actor: Claims | None = None
        self.patients: dict[Cx, None] = {}
        self.submission: Submission | None = None
        self.document: DocumentKey | None = None
        self.study_instance_uid: str | None = None
        self.form: bytes = b""
        """The body of a search by POST."""
        self.broken: str | None = None
        """Why an answer that had begun did not get through."""
        self.refused: str | None = None
        """Why a token or an assertion is not good."""
        self.stranger: str | None = None
        """Why a certificate is not one of those that may ask."""
        self.forged: str | None = None
        """What was asked for that was never given out, or that there is not."""

    def about(self, patients: Iterable[Cx]) -> None:
        """The request is about these patients."""
        for patient in patients:
            if len(self.patients) >= _MOST_PATIENTS:
                return
            self.patients[patient] = None


_subjects: ContextVar[Subjects | None] = ContextVar("subjects", default=None)


@contextmanager
def collecting() -> Iterator[Subjects]:
    """Collect what is inside."""
    subjects = Subjects()
    token = _subjects.set(subjects)
    try:
        yield subjects
    finally:
        _subjects.reset(token)


def current() -> Subjects | None:
    """Those of the request being answered."""
    return _subjects.get()


def about_patients(patients: Iterable[Cx]) -> None:
    """The request is about these patients."""
    if (subjects := _subjects.get()) is not None:
        subjects.about(patients)


def about_submission(submission: Submission) -> None:
    """The request submits this."""
    if (subjects := _subjects.get()) is not None:
        subjects.submission = submission
        patient = submission.submission_set.patient_id
        subjects.about(() if patient is None else (patient,))


def about_document(key: DocumentKey) -> None:
    """The request retrieves this document."""
    if (subjects := _subjects.get()) is not None:
        subjects.document = key
        if key.patient_id is not None:
            subjects.about((key.patient_id,))


def about_study(study_instance_uid: str, patient: Cx | None) -> None:
    """The request retrieves images of this study."""
    if (subjects := _subjects.get()) is not None:
        subjects.study_instance_uid = study_instance_uid
        if patient is not None:
            subjects.about((patient,))


def only_patient() -> Cx | None:
    """Whom the request is about, where that is known and is one."""
    subjects = _subjects.get()
    return next(iter(subjects.patients)) if subjects is not None and len(subjects.patients) == 1 else None


def asked_with(actor: Claims) -> None:
    """Who asks is known."""
    if (subjects := _subjects.get()) is not None:
        subjects.actor = actor


def searched_with(form: bytes) -> None:
    """The search came as a form."""
    if (subjects := _subjects.get()) is not None:
        subjects.form = form


def refused_login(reason: str) -> None:
    """The token or the assertion of the request is not good."""
    if (subjects := _subjects.get()) is not None:
        subjects.refused = reason


def refused_node(reason: str) -> None:
    """The certificate that the request came with is not that of somebody who may ask."""
    if (subjects := _subjects.get()) is not None:
        subjects.stranger = reason


def forged(reason: str) -> None:
    """The request is for something that was never given out, or that there is not."""
    if (subjects := _subjects.get()) is not None:
        subjects.forged = reason


def broken_off(reason: str) -> None:
    """The answer that had begun did not get through."""
    if (subjects := _subjects.get()) is not None:
        subjects.broken = reason
