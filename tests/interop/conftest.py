"""The Java programs, made once; tests are skipped where the tools are missing."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .hapi import Validator, validating
from .java_peer import JavaMissingError, JavaPeer, java_peer


@pytest.fixture(scope="session")
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> JavaPeer:
    try:
        return java_peer(_cache(request, tmp_path_factory, "java-peer"))
    except JavaMissingError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def hapi(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Validator]:
    yield from _validator(request, tmp_path_factory, "R4")


@pytest.fixture(scope="module")
def hapi_r5(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Validator]:
    yield from _validator(request, tmp_path_factory, "R5")


def _validator(
    request: pytest.FixtureRequest, folders: pytest.TempPathFactory, release: str
) -> Iterator[Validator]:
    cache = _cache(request, folders, "fhir-validator")
    with ExitStack() as stack:
        try:
            log = folders.mktemp("hapi") / "log"
            validator = stack.enter_context(validating(cache, log, release))
        except JavaMissingError as missing:
            pytest.skip(str(missing))
        yield validator


def _cache(request: pytest.FixtureRequest, folders: pytest.TempPathFactory, name: str) -> Path:
    kept = getattr(request.config, "cache", None)
    return Path(kept.mkdir(name)) if kept else folders.getbasetemp().parent / name


@pytest.fixture(scope="module")
def java_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("java")


@pytest.fixture(scope="module")
def java_url(peer: JavaPeer, java_folder: Path) -> Iterator[str]:
    with peer.serving(java_folder) as url:
        yield url
