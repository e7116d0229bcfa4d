"""Who may send which work orders.

A token is 256 random bits, shown once. What is kept is its SHA-256: for a secret that cannot be
guessed a slow hash would add nothing but a way to keep the server busy.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from toros.common.config.models import Grant
from toros.common.errors import Forbidden, NotAuthenticated
from toros.common.request_names import canonical

HASH_PREFIX = "sha256:"
EVERYTHING = "*"


@dataclass(frozen=True)
class Caller:
    """Who sends an order.

    Parameters
    ----------
    name : str or None
        None on a loopback desk that asks nobody who they are.
    may : frozenset of str
        Canonical names of requests, or everything.
    """

    name: str | None
    may: frozenset[str]

    def require(self, *names: str) -> None:
        """Raise `Forbidden` unless the caller may send the request that has these names."""
        if EVERYTHING not in self.may and self.may.isdisjoint(map(canonical, names)):
            raise Forbidden(f"{self.name} may not send '{names[0]}' orders.")


ANYBODY = Caller(None, frozenset({EVERYTHING}))


class Access:
    """The users of the configuration's `access` section.

    Parameters
    ----------
    grants : sequence of Grant
        Without any, everybody is `ANYBODY`; the server then listens on loopback only.
    """

    def __init__(self, grants: Sequence[Grant]) -> None:
        self._users = {
            grant.user.encode(): (
                hash_of(grant.token.get_secret_value()),
                Caller(grant.user, frozenset(_canonical(name) for name in grant.may)),
            )
            for grant in grants
        }
        self._nobody = hash_of(secrets.token_urlsafe(32))

    @property
    def open(self) -> bool:
        """Whether nobody is asked who they are."""
        return not self._users

    def authenticate(self, header: str | None) -> Caller:
        """Return who an ``Authorization`` header names.

        Raises
        ------
        NotAuthenticated
            When it names nobody we know; it does not say whether user or token was wrong.
        """
        if self.open:
            return ANYBODY
        if header is None:
            raise NotAuthenticated("Say who you are: http://user:token@host:port.")
        user, token = _basic(header)
        # An unknown user costs the same time as a wrong token.
        known, caller = self._users.get(user, (self._nobody, None))
        given = HASH_PREFIX + hashlib.sha256(token).hexdigest()
        if not hmac.compare_digest(given, known) or caller is None:
            raise NotAuthenticated("There is no such user and token.")
        return caller


def new_token() -> str:
    """Return a token of 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """Return what is kept of a token; a hash is returned as it is."""
    if token.startswith(HASH_PREFIX):
        return token
    return HASH_PREFIX + hashlib.sha256(token.encode()).hexdigest()


def _canonical(name: str) -> str:
    return name if name == EVERYTHING else canonical(name)


def _basic(header: str) -> tuple[bytes, bytes]:
    scheme, _, text = header.partition(" ")
    try:
        plain = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        plain = b""
    user, colon, token = plain.partition(b":")
    if scheme.lower() != "basic" or not colon:
        raise NotAuthenticated("Only HTTP Basic is taken: user and token.")
    return user, token
