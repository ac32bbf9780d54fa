"""The image: its Dockerfile's own steps are run in a folder, and what they made is run read-only.

No engine is needed. What only an engine knows (the base, layers) is not looked at.
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gateway.affinity.app import create_app as create_affinity
from gateway.affinity.options import AffinityOptions
from tests.ports import free_port
from tests.system.stack import REPOSITORY, site

from .dockerfile import ROOT, Builder, context, read_stages

BUILD, FINAL = read_stages()


@pytest.fixture(scope="module")
def image():
    """The folder `/opt/gateway` of an image."""
    with tempfile.TemporaryDirectory(prefix="image-", dir="/var/tmp") as name:
        folder = Path(name)
        sent = folder / "context"
        context(sent)
        try:
            Builder(folder, sent, getattr(sys, "_base_executable", sys.executable)).run(BUILD)
        except AssertionError as error:
            if re.search(r"Connection|resolve|Max retries", str(error)):
                pytest.skip("the locked dependencies cannot be fetched here")
            raise
        yield folder / "opt" / "gateway"


def files_of(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def locked_here():
    """Names in the lock of what runs, as far as they are for this system."""
    lines = re.findall(r"^\w.*?(?= \\)", (ROOT / "requirements/runtime.lock").read_text(), re.M)
    needed = (Requirement(line) for line in lines)
    return {canonicalize_name(each.name) for each in needed if each.marker is None or each.marker.evaluate()}


def test_only_what_is_built_goes_to_the_engine(tmp_path):
    context(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        "README.md",
        "config",
        "gateway",
        "pyproject.toml",
        "requirements",
        "wsdl",
    }
    assert [p.name for p in sorted((tmp_path / "requirements").iterdir())] == ["build.lock", "runtime.lock"]


def test_the_last_stage_runs_one_process_of_an_own_user_and_builds_nothing():
    user = FINAL.arguments("USER")[-1]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "a number, so that runAsNonRoot can be checked"
    assert FINAL.command("ENTRYPOINT") + FINAL.command("CMD") == ["gateway", "serve"]
    assert FINAL.command("HEALTHCHECK") == ["gateway", "health"]
    assert FINAL.arguments("COPY") == ["--from=build /opt/gateway /opt/gateway"]
    [run] = FINAL.arguments("RUN")
    assert "apt" not in run
    assert "install" not in run
    labels = " ".join(FINAL.arguments("LABEL"))
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels


def test_dependencies_are_locked_with_hashes_and_nothing_is_compiled():
    installs = [step for step in BUILD.arguments("RUN") if " install " in step]
    assert all("--require-hashes" in step or "--no-index" in step for step in installs)
    assert any("requirements/runtime.lock" in s and "--only-binary :all:" in s for s in installs)


def test_the_image_holds_the_gateway_its_data_and_no_build_tools(image):
    [packages] = image.glob("lib/python3*/site-packages")
    installed = {p.name.split("-")[0].replace("_", "-").lower() for p in packages.glob("*.dist-info")}
    assert installed == locked_here() | {"mhd-xds-gateway"}
    assert installed.isdisjoint({"pip", "setuptools", "wheel", "hatchling", "pytest", "mypy"})
    for folder in ("wsdl", "config"):
        shipped = files_of(packages / "gateway" / "_data" / folder)
        assert shipped == files_of(ROOT / folder)
    sources = [f for f in files_of(ROOT / "gateway") if not f.endswith(".pyc")]
    assert [
        f for f in files_of(packages / "gateway") if not f.startswith("_data") and ".pyc" not in f
    ] == sources


READ_ONLY = """
mount --bind "$1" "$1"
mount -t tmpfs tmpfs /tmp
mount -o remount,bind,ro /
shift
exec "$@"
"""


class Container:
    """Runs commands as the image would: its environment, and nothing writable but its volume and /tmp.

    Root has a mount namespace for it; others take their own rights to write away.
    """

    def __init__(self, image, volume, **settings):
        self._image = image
        self._volume = volume
        own = FINAL.environment()
        own["PATH"] = own["PATH"].replace("/opt/gateway", str(image))
        own["GATEWAY_STATE_DIR"] = str(volume)
        self.environment = own | {f"GATEWAY_{name}": value for name, value in settings.items()}
        self._before = ["unshare", "--mount", "sh", "-ec", READ_ONLY, "sh", str(volume)]
        if os.geteuid() != 0 or subprocess.run([*self._before, "true"], check=False).returncode != 0:
            self._before = []
            for path in image.rglob("*"):
                if not path.is_symlink():
                    path.chmod(path.stat().st_mode & ~0o222)

    def popen(self, *arguments):
        program, *rest = arguments
        return subprocess.Popen(
            [*self._before, str(self._image / "bin" / program), *rest],
            env=self.environment,
            cwd=self._volume,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments):
        process = self.popen(*arguments)
        output, errors = process.communicate(timeout=60)
        return process.returncode, output, errors


async def test_doctor_serve_health_and_stop_with_a_tree_that_nobody_can_write(image, tmp_path):
    before = files_of(image)
    with tempfile.TemporaryDirectory(prefix="volume-", dir="/var/tmp") as volume:
        affinity = create_affinity(AffinityOptions(state_dir=tmp_path, repository_unique_id=REPOSITORY))
        async with site(affinity) as domain:
            port = free_port()
            container = Container(
                image,
                Path(volume),
                REGISTRY__URL=f"{domain}/xds/registry",
                REPOSITORIES=json.dumps([{"unique_id": REPOSITORY, "url": f"{domain}/xds/repository"}]),
                SERVER__PORT=str(port),
                SERVER__BASE_URL=f"http://127.0.0.1:{port}/fhir",
                SECURITY__ACCESS="open",
            )
            code, output, errors = await asyncio.to_thread(container.run, "gateway", "doctor")
            assert code == 0, output + errors
            assert await asyncio.to_thread(health, container) != 0, "nothing runs yet"
            server = container.popen(*FINAL.command("ENTRYPOINT"), *FINAL.command("CMD"))
            try:
                line = await asyncio.to_thread(server.stdout.readline)
                assert line == f"ready http://127.0.0.1:{port}/fhir\n", server.stderr.read()
                assert await asyncio.to_thread(health, container) == 0
                ready = await asyncio.to_thread(container.run, "gateway", "health", "--ready")
                assert json.loads(ready[1])["redis"] == {"available": True}, "with the server that it brings"
            finally:
                server.terminate()
                await asyncio.to_thread(server.communicate)
            assert server.returncode == 0
            with socket.socket() as probe:
                assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert files_of(image) == before, "no byte code, no state, nothing is written into the tree"


def health(container):
    """What the HEALTHCHECK says."""
    code, _, _ = container.run(*FINAL.command("HEALTHCHECK"))
    return code
