"""`gateway trace`: runs a trace over the settings and prints it."""

from collections.abc import Callable

import msgspec

from gateway.exit_codes import ExitCode
from gateway.fhir.search_tokens import read_patient_identifier
from gateway.fhir.search_values import SearchProblem
from gateway.model import Cx
from gateway.progress import steps
from gateway.settings import Settings
from gateway.telemetry.logs import configure
from gateway.trace.findings import Trace, lines
from gateway.trace.tracer import Tracer
from gateway.wiring.fhir import terminology
from gateway.wiring.parts import StartError, open_parts
from gateway.wiring.trace import reached


async def run_trace(
    settings: Settings,
    text: str,
    echo: Callable[[str], None],
    *,
    patient: str | None,
    as_json: bool,
    retrieve: bool,
) -> int:
    """Print what is known of `text`. 0 where all of it can be had, else 1, 2 for wrong use, 3 for nothing."""
    configure("error")
    try:
        whose = _patient(settings, patient) if patient is not None else None
    except SearchProblem as problem:
        echo(f"trace: --patient: {problem.issue.diagnostics}")
        return ExitCode.WRONG_USE
    try:
        trace = await _traced(settings, text, whose, retrieve=retrieve)
    except StartError as error:
        echo(f"trace: {error}")
        return ExitCode.FAILED
    if as_json:
        echo(msgspec.json.format(msgspec.json.encode(trace), indent=2).decode())
    else:
        for line in lines(trace):
            echo(line)
    if not trace.documents:
        return ExitCode.NOTHING_KNOWN
    return ExitCode.FAILED if trace.problems else ExitCode.DONE


def _patient(settings: Settings, text: str) -> Cx:
    return read_patient_identifier(text, "patient", terminology(settings))


async def _traced(settings: Settings, text: str, patient: Cx | None, *, retrieve: bool) -> Trace:
    async with open_parts(settings, audited=False, beside=True) as parts:
        with steps("trace:") as shown:
            return await Tracer(reached(settings, parts), retrieve=retrieve, steps=shown).trace(text, patient)
