import pytest

from gateway.affinity.options import AffinityOptions
from tests.affinity.client import running
from tests.affinity.samples import REPOSITORY, Domain


@pytest.fixture
def make_domain(tmp_path):
    made = []

    def make(**options) -> Domain:
        domain = Domain(
            AffinityOptions(
                **{"state_dir": tmp_path / "domain", "repository_unique_id": REPOSITORY, **options}
            )
        )
        made.append(domain)
        return domain

    yield make
    for domain in made:
        domain.database.close()


@pytest.fixture
async def client(tmp_path):
    """A client of an affinity domain that is served in this process."""
    async with running(
        AffinityOptions(state_dir=tmp_path / "domain", repository_unique_id=REPOSITORY)
    ) as client:
        yield client


@pytest.fixture
def domain(make_domain):
    return make_domain()
