"""Identifiers that look like the real ones. Uniqueness comes from the kernel's random source."""

import secrets
import string
import uuid

_ALPHABET = string.digits + string.ascii_lowercase
_TOKEN_ALPHABET = string.digits + string.ascii_letters
_RANDOM_CHARS = 17


class Ids:
    """Makes ids for one region; `bp1` is the real prefix of cn-hangzhou."""

    def __init__(self, region_code: str = "bp1") -> None:
        self._region_code = region_code

    def new(self, prefix: str) -> str:
        """For example `d-bp1` and 17 lower-case letters and digits, for prefix "d"."""
        tail = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARS))
        return f"{prefix}-{self._region_code}{tail}"

    def request_id(self) -> str:
        """A request id: an upper-case UUID."""
        return str(uuid.uuid4()).upper()

    def secret(self, length: int) -> str:
        """Letters and digits for access keys, secrets and tokens."""
        return "".join(secrets.choice(_TOKEN_ALPHABET) for _ in range(length))
