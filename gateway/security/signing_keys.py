"""Keys that sign the access tokens of the own authorisation server: ECDSA P-384 (ES384), made from the
keys of the settings or of the state directory.

So replicas that share `security.keys` take each other's tokens, and rotation is that of the ring: the first
key signs, all verify.
"""

import hashlib
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from gateway.security.key_sets import PublicKey
from gateway.security.sealing import KeyRing

SIGNING_ALGORITHM: Final = "ES384"
_ORDER: Final = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)
"""Order of the base point of P-384 (FIPS 186-4 D.1.2.4)."""


def _key(seed: bytes) -> ECKey:
    # 512 bits reduced to 384 leave no bias that could be seen (FIPS 186-4 B.4.1)
    number = 1 + int.from_bytes(hashlib.sha512(b"P-384" + seed).digest(), "big") % (_ORDER - 1)
    made = ECKey.import_key(ec.derive_private_key(number, ec.SECP384R1()))
    parameters: dict[str, Any] = {"kid": made.thumbprint(), "use": "sig", "alg": SIGNING_ALGORITHM}
    return ECKey.import_key({**made.as_dict(private=True), **parameters})


class SigningKeys:
    """The keys of a ring as signing keys."""

    def __init__(self, ring: KeyRing) -> None:
        self._keys = tuple(_key(seed) for seed in ring.derive("access tokens"))

    @property
    def signing(self) -> ECKey:
        """The key that signs."""
        return self._keys[0]

    @property
    def public(self) -> tuple[PublicKey, ...]:
        """The keys that verify."""
        return self._keys

    def key_set(self) -> dict[str, list[dict[str, Any]]]:
        """The JWK set of the public keys."""
        return {"keys": [dict(key.as_dict(private=False)) for key in self._keys]}
