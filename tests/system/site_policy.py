"""A policy as a site writes one, for `security.policy.hook`."""

from gateway.security.policy import Policy

ASKED = []


class OfTheSite:
    """Permits what its `client` asks, fails on demand."""

    def __init__(self, client, failing=False):
        self._client = client
        self.failing = failing

    async def permits(self, asked, matters):
        ASKED.append((asked.action, len(matters)))
        if self.failing:
            raise RuntimeError("secret of a patient")
        return [asked.claims is not None and asked.claims.client_id == self._client for _ in matters]


def make(client, failing=False) -> Policy:
    return OfTheSite(client, failing)


def not_a_policy():
    return object()
