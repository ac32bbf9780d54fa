"""What all tests share: generated examples are not timed, since machines differ."""

import os

from hypothesis import HealthCheck, settings

# tests of access tokens say so themselves
os.environ.setdefault("GATEWAY_SECURITY__ACCESS", "open")

settings.register_profile(
    "untimed",
    parent=settings.get_profile("ci" if os.environ.get("CI") else "default"),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("untimed")
