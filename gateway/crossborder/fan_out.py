"""The own registry and the registries of other communities as one (ITI-18, and ITI-38 as Initiating Gateway;
ITI TF-2 3.38.4.1.3, MHD 4.2.4 Target Communities).

A query by patient goes to every community, or to those that it names, each with the identifier that it knows
the patient by; a query by ids goes to the communities whose ids they are. Each community has a deadline of
its own. What the living say is the answer, with an error for each of the others; where there is no answer at
all the failures are raised. Objects are never merged across communities.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import structs

from gateway.clients.community import Queries
from gateway.crossborder.communities import Communities, Member
from gateway.crossborder.deadlines import seconds_left
from gateway.crossborder.identities import PatientIdentities
from gateway.crossborder.marking import by_mark, names_objects, with_marks
from gateway.model import Cx, QueryResult, RegistryError, RegistryFailure, ResponseStatus, Severity
from gateway.model.errors import (
    PeerCircuitOpen,
    PeerError,
    PeerForbids,
    PeerProtocolError,
    PeerTimeout,
    PeerUnreachable,
)
from gateway.model.query import StoredQuery
from gateway.security.access import OtherPatient, check_query, for_any_patient, only_visible

UNAVAILABLE: Final = "XDSUnavailableCommunity"
_UNKNOWN_PATIENT: Final = "XDSUnknownPatientId"
_SEVERAL_PATIENTS: Final = "XDSResultNotSinglePatient"
_TRANSACTION: Final = "ITI-38"
_OF_MANAGER: Final = frozenset({"ITI-78", "ITI-83"})
_NOTHING: Final = QueryResult(status=ResponseStatus.SUCCESS)
_OF_PATIENTS: Final = ("entries", "submission_sets", "folders")
_PARTS: Final = (*_OF_PATIENTS, "associations", "object_refs", "errors")

Failure = PeerError | RegistryFailure


@dataclass(frozen=True, slots=True)
class _Question:
    """A query in the ids of whom it is for: a community by one of its homeCommunityIds, or the own one, which
    may have none."""

    query: StoredQuery
    member: Member | None = None
    home: str | None = None

    @property
    def label(self) -> str:
        """What warnings call whom it is for."""
        if self.member is not None:
            return self.member.label
        return "the own registry" if self.home is None else f"the own registry ({self.home})"


class FanOutRegistry:
    """Answers stored queries as a registry does. Without communities it is the own registry alone."""

    def __init__(
        self, own: Queries, communities: Communities, identities: PatientIdentities, *, deadline: float
    ) -> None:
        """`deadline` in seconds is what the own registry has where others are asked too."""
        self._own = own
        self._communities = communities
        self._identities = identities
        self._deadline = deadline

    async def query(self, query: StoredQuery) -> QueryResult:
        """Objects of all that are asked, those of each in its order, the own ones first.

        Raises PeerError and RegistryFailure where nobody answers, and OtherPatient.
        """
        if not self._communities.members and not names_objects(query):
            return await self._own.query(_for_own(query))
        questions = self._questions(query)
        if not questions:
            return _NOTHING
        if len(questions) == 1:
            return await self._answer(questions[0])
        check_query(query)
        outcomes = await self._outcomes(questions)
        return _together(query, questions, outcomes)

    # --- whom to ask --------------------------------------------------------------------------------------
    def _questions(self, query: StoredQuery) -> list[_Question]:
        bare = _for_one(query)
        if query.home is not None:
            member = self._communities.of_home(query.home)
            asked = structs.replace(bare, home=None)
            return [_Question(asked, member, self._communities.own_home if member is None else query.home)]
        named = by_mark(bare) if names_objects(query) else {}
        if named and not (query.target_communities and set(named) == {None}):
            return [q for mark, part in named.items() if (q := self._of_mark(mark, part)) is not None]
        targets = query.target_communities
        if not targets:
            # what is named by no id of a community and is about no patient is known here alone
            targets = self._communities.homes if hasattr(query, "patient_id") else ()
        return self._of_targets(bare, targets)

    def _of_mark(self, mark: str | None, query: StoredQuery) -> _Question | None:
        if mark is None:
            return _Question(query, home=self._communities.own_home)
        home = self._communities.home_of_mark(mark)
        return None if home is None else _Question(query, self._communities.of_home(home), home)

    def _of_targets(self, query: StoredQuery, targets: Iterable[str]) -> list[_Question]:
        questions: list[_Question] = []
        homes = tuple(dict.fromkeys(targets))
        if not homes or any(map(self._communities.is_own, homes)):
            questions.append(_Question(query, home=self._communities.own_home))
        for home in homes:
            member = self._communities.of_home(home)
            if member is not None:
                questions.append(_Question(query, member, home))
        return questions

    # --- what they say ------------------------------------------------------------------------------------
    async def _outcomes(self, questions: Sequence[_Question]) -> list[QueryResult | Failure]:
        async def outcome(question: _Question) -> QueryResult | Failure | OtherPatient:
            try:
                return await self._answer(question, alone=False)
            except (PeerError, RegistryFailure, OtherPatient) as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(outcome(question)) for question in questions]
        outcomes: list[QueryResult | Failure] = []
        for task in tasks:
            found = task.result()
            if isinstance(found, OtherPatient):
                raise found
            outcomes.append(found)
        return outcomes

    async def _answer(self, question: _Question, *, alone: bool = True) -> QueryResult:
        member = question.member
        if member is None and alone:
            return await self._own.query(question.query)
        seconds = seconds_left(self._deadline if member is None else member.deadline)
        try:
            async with asyncio.timeout(seconds):
                if member is None:
                    return await self._own.query(question.query)
                return await self._answer_of(member, question)
        except PeerCircuitOpen as error:
            # for who asks, one that is left alone for a while is one that does not answer
            raise PeerUnreachable(error.peer, error.transaction, error.detail) from None
        except TimeoutError:
            name = "registry" if member is None else member.name
            transaction = "ITI-18" if member is None else _TRANSACTION
            raise PeerTimeout(name, transaction, f"no answer within {seconds:.1f} s") from None

    async def _answer_of(self, member: Member, question: _Question) -> QueryResult:
        query = question.query
        check_query(query)
        patient: Cx | None = getattr(query, "patient_id", None)
        there: Cx | None = None
        if patient is not None:
            known = await self._identities.there(patient, member)
            if not known:
                return _NOTHING
            if len(known) > 1:
                return QueryResult(status=ResponseStatus.PARTIAL, errors=(_ambiguous(member),))
            there = known[0]
            query = structs.replace(query, patient_id=there)
        with for_any_patient():
            found = await member.community.query(structs.replace(query, home=question.home))
        mine = await self._in_own_identifiers(found, member, patient, there)
        return await only_visible(with_marks(mine, question.home or member.home))

    async def _in_own_identifiers(
        self, found: QueryResult, member: Member, patient: Cx | None, there: Cx | None
    ) -> QueryResult:
        """The answer with the patients as this community knows them."""
        seen = {item.patient_id for name in _OF_PATIENTS for item in getattr(found, name)}
        own: dict[Cx | None, Cx | None] = {None: patient}
        for each in seen:
            if each is None:
                continue
            if patient is None or there is None:
                own[each] = await self._identities.here(each, member)
            elif each != there and each.authority == there.authority:
                raise PeerProtocolError(
                    member.name, _TRANSACTION, "in the answer an object is of another patient than asked"
                )
            else:
                # a community may be asked by a shared identifier and say its own
                own[each] = patient
                if each != there:
                    await self._identities.is_also(patient, each, member)
        if all(one == other for one, other in own.items()):
            return found
        changes: dict[str, Any] = {
            name: tuple(
                structs.replace(item, patient_id=own[item.patient_id]) for item in getattr(found, name)
            )
            for name in _OF_PATIENTS
        }
        return structs.replace(found, **changes)


def _for_one(query: StoredQuery) -> StoredQuery:
    """The query as one registry is asked."""
    return structs.replace(query, target_communities=()) if query.target_communities else query


def _for_own(query: StoredQuery) -> StoredQuery:
    """The query as the own registry is asked, which knows of no communities."""
    bare = _for_one(query)
    return bare if bare.home is None else structs.replace(bare, home=None)


def _together(
    query: StoredQuery, questions: Sequence[_Question], outcomes: Sequence[QueryResult | Failure]
) -> QueryResult:
    """One answer. Raises where there is none."""
    results: list[QueryResult] = []
    failed: list[tuple[_Question, Failure]] = []
    for question, outcome in zip(questions, outcomes, strict=True):
        if isinstance(outcome, QueryResult):
            results.append(outcome)
        elif isinstance(outcome, RegistryFailure) and _all_are(outcome, _UNKNOWN_PATIENT):
            results.append(_NOTHING)
        elif isinstance(outcome, RegistryFailure) and _all_are(outcome, _SEVERAL_PATIENTS):
            # who asked by ids knows how to ask otherwise
            raise outcome
        else:
            failed.append((question, outcome))
    if not results:
        raise _all_failed([failure for _, failure in failed])
    parts: dict[str, tuple[Any, ...]] = {
        name: tuple(item for result in results for item in getattr(result, name)) for name in _PARTS
    }
    parts["errors"] += tuple(error for question, failure in failed for error in _told(question, failure))
    partial = failed or any(result.status is ResponseStatus.PARTIAL for result in results)
    return QueryResult(status=ResponseStatus.PARTIAL if partial else ResponseStatus.SUCCESS, **parts)


def _all_are(failure: RegistryFailure, code: str) -> bool:
    codes = [e.code.rpartition(":")[2] for e in failure.errors if e.severity is Severity.ERROR]
    return bool(codes) and set(codes) == {code}


def _told(question: _Question, failure: Failure) -> Iterable[RegistryError]:
    """What of a failure stands beside the results of the others."""
    lost = f"what {question.label} holds is missing here"
    if isinstance(failure, RegistryFailure):
        for error in failure.errors:
            said = f": {error.context}" if error.context else ""
            yield structs.replace(error, context=f"{lost}{said}", location=question.home)
        return
    how = "gave no answer in time" if isinstance(failure, PeerTimeout) else "gives no usable answer"
    if isinstance(failure, PeerForbids):
        how = "does not accept who asks"
    who = question.label
    if failure.transaction in _OF_MANAGER:
        # who the patient is there could not be found out, so that the community was not asked
        who = f"the {failure.peer} for {question.label}"
    yield RegistryError(
        UNAVAILABLE,
        f"{who} {how} ({failure.transaction}); {lost}",
        location=question.home,
    )


def _ambiguous(member: Member) -> RegistryError:
    return RegistryError(
        "XDSRegistryError",
        f"{member.label} knows several patients by what was asked, so that it was asked for the documents of "
        "none",
        location=member.home,
    )


def _all_failed(failures: Sequence[Failure]) -> Failure:
    """One failure that names everybody."""
    peers = ", ".join(dict.fromkeys(failure.peer for failure in failures))
    if all(isinstance(failure, PeerTimeout) for failure in failures):
        return PeerTimeout(peers, _TRANSACTION, "no answer in time")
    if all(isinstance(failure, PeerForbids) for failure in failures):
        return PeerForbids(peers, _TRANSACTION, "nobody accepts who asks")
    refused = [failure for failure in failures if isinstance(failure, RegistryFailure)]
    if len(refused) == len(failures):
        return RegistryFailure(peers, _TRANSACTION, tuple(e for each in refused for e in each.errors))
    kinds = "; ".join(f"{failure.peer}: {_kind(failure)}" for failure in failures)
    return PeerError(peers, _TRANSACTION, f"nobody answers ({kinds})")


def _kind(failure: Failure) -> str:
    if isinstance(failure, RegistryFailure):
        return ", ".join(error.code for error in failure.errors) or "Failure"
    return "no answer in time" if isinstance(failure, PeerTimeout) else "no usable answer"
