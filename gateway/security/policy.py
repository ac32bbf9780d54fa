"""The policy of a site: who may have what, asked at each search and again at each read and retrieval.

A policy is an object with the method of `Policy`. The rules file is one (`gateway.security.policy_rules`); a
site's own is named by `security.policy.hook`, as `package.module:factory` or by an entry point of the group
`mhd_xds_gateway.policies`. The factory is called once, with `security.policy.options`.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

from gateway.model import Cx, DocumentEntry
from gateway.model.claims import Claims

Action = Literal["search", "read", "retrieve", "images", "publish"]
"""What is done: metadata are found or read, documents or images retrieved, documents published."""


class Asked(Struct, frozen=True):
    """Who asks for what. `claims` are those of the token or the assertion; None where nobody had to show one,
    which is so at SOAP services without assertions alone."""

    action: Action
    claims: Claims | None = None


class Matter(Struct, frozen=True):
    """What is decided about: a document by its entry, or what has a patient alone (SubmissionSet, Folder).

    The patient is None where nothing says whose it is.
    """

    patient: Cx | None
    entry: DocumentEntry | None = None


class Policy(Protocol):
    """Decides. Called in the event loop, so what takes long has to be awaited."""

    async def permits(self, asked: Asked, matters: Sequence[Matter]) -> Sequence[bool]:
        """One decision for each matter, in their order. What it raises denies everything, and the client is
        told to come back (503)."""
        ...


class Denied(Exception):
    """The policy does not permit what is asked for."""


class PolicyUnavailable(Exception):
    """Nobody can decide now."""


__all__ = ["Action", "Asked", "Denied", "Matter", "Policy", "PolicyUnavailable"]
