"""The Java peer, made once; tests are skipped where the tools are missing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .java_peer import JavaMissingError, JavaPeer, java_peer


@pytest.fixture(scope="session")
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> JavaPeer:
    kept = getattr(request.config, "cache", None)
    cache = Path(kept.mkdir("java-peer")) if kept else tmp_path_factory.getbasetemp().parent / "java-peer"
    try:
        return java_peer(cache)
    except JavaMissingError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def java_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("java")


@pytest.fixture(scope="module")
def java_url(peer: JavaPeer, java_folder: Path) -> Iterator[str]:
    with peer.serving(java_folder) as url:
        yield url
