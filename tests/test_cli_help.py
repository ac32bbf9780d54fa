"""Help, examples, completion, exit codes and bars of the command line."""

import asyncio
import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli import app
from gateway.exit_codes import exit_code_table_markdown
from gateway.progress import Steps
from tests.test_cli import gateway, settings_for

ROOT = Path(__file__).parents[1]
TOP = typer.main.get_command(app)


def commands(command=TOP, path=()):
    """Each command that does something: its words and itself."""
    for name, below in getattr(command, "commands", {}).items():
        if getattr(below, "commands", None):
            yield from commands(below, (*path, name))
        else:
            yield (*path, name), below


def example_lines(command):
    first, *lines = (command.epilog or "").split("\n\n")
    assert first == "Examples:", command.name
    return lines


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(*each, id=" ".join(each[0])) for each in commands()]
)
def test_each_command_has_examples_that_are_of_that_command(path, command):
    lines = example_lines(command)
    assert lines
    for line in lines:
        words = [
            word for word in shlex.split(re.split(r" [|>] ", line)[0]) if not word.startswith("GATEWAY_")
        ]
        assert words[: len(path) + 1] == ["gateway", *path], line
        # parses types and names of options as a run would, and runs nothing
        with command.make_context(command.name, words[len(path) + 1 :]) as context:
            assert context.params, line
        assert line in CliRunner(env={"COLUMNS": "200"}).invoke(app, [*path, "--help"]).output


def test_the_commands_that_people_look_for_are_there():
    words = {path[0] for path, _ in commands()}
    assert words >= {
        "serve",
        "demo",
        "doctor",
        "trace",
        "manifest",
        "publish",
        "find",
        "get",
        "health",
        "token",
    }


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_can_be_given_completion(shell):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("_GATEWAY")}
    program = Path(sys.executable).with_name("gateway")
    script = subprocess.run(
        [program],
        env=environment | {"_GATEWAY_COMPLETE": f"source_{shell}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "_GATEWAY_COMPLETE=complete" in script.stdout, script.stderr
    if shell == "bash":
        asked = {"_GATEWAY_COMPLETE": "complete_bash", "COMP_WORDS": "gateway do", "COMP_CWORD": "1"}
        said = subprocess.run([program], env=environment | asked, capture_output=True, text=True, check=False)
        assert said.stdout.split() == ["doctor"]


def test_the_exit_codes_of_the_documentation_are_those_of_the_code():
    text = (ROOT / "docs" / "operations.md").read_text()
    table = text.split("<!-- exit-codes:begin -->\n")[1].split("<!-- exit-codes:end -->")[0]
    assert table == exit_code_table_markdown()


def test_doctor_tells_programs_what_it_tells_people(tmp_path):
    code, output, errors = gateway("doctor", "--json", **settings_for(tmp_path))
    assert (code, errors) == (1, [])
    report = json.loads("\n".join(output))
    assert report["well"] is False
    by_name = {each["check"]: each for each in report["checks"]}
    assert by_name["settings"] == {"check": "settings", "well": True, "text": "complete"}
    assert by_name["registry"]["well"] is False
    assert "no connection" in by_name["registry"]["text"] or "refused" in by_name["registry"]["text"]


async def test_a_terminal_is_told_what_is_waited_for_and_standard_output_is_not(tmp_path):
    async def silent(reader, _):
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    environment = settings_for(tmp_path, f"http://127.0.0.1:{port}", GATEWAY_REGISTRY__READ_TIMEOUT="1")
    ours, theirs = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "doctor",
        env=clean | environment | {"TERM": "xterm", "COLUMNS": "120"},
        stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = bytearray()

    def read():
        try:
            while chunk := os.read(ours, 4096):
                shown.extend(chunk)
        except OSError:
            pass  # how a terminal says that the other side has gone

    reading = asyncio.create_task(asyncio.to_thread(read))
    output, _ = await process.communicate()
    await reading
    os.close(ours)
    server.close()
    assert b"registry: ITI-18" in shown
    assert b"\x1b" not in output
    assert b"FAIL  registry: " in output


def test_steps_are_counted_as_they_turn_out():
    seen = []
    steps = Steps(show=lambda now: seen.append((now.done, now.total, now.doing)))
    steps.expect(1)
    steps.begin("a")
    steps.expect(2)
    steps.end()
    assert seen == [(0, 1, ""), (0, 1, "a"), (0, 3, "a"), (1, 3, "a")]
