"""What Kubernetes objects tell of a volume at each publish: its bucket, and its access key."""

import base64
import binascii
from collections.abc import Mapping

from core import errors
from csi import cnfs as csi_cnfs
from csi.oss import cnfs
from kube import api

SECRET_REF = "secretRef"  # noqa: S105 - the name of a key
_KEYS = ("AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration")


class Objects:
    """Reads them. secret_namespace: where Secrets of `secretRef` are, and no others."""

    def __init__(self, kubernetes: api.Api, secret_namespace: str) -> None:
        self._kubernetes = kubernetes
        self._namespace = secret_namespace

    async def context(self, told: Mapping[str, str]) -> Mapping[str, str]:
        """*told* with bucket and url of the ContainerNetworkFileSystem that it names."""
        name = cnfs.name_in(told)
        if not name:
            return told
        found = await csi_cnfs.read(self._kubernetes, name, field=cnfs.KEY)
        return cnfs.complete(told, found)

    async def secrets(self, told: Mapping[str, str], given: Mapping[str, str]) -> Mapping[str, str]:
        """*given*, the secrets of the request, or those of the Secret that *told* names.

        Raises InvalidField for both at once, Precondition for a Secret that is not there or holds
        no text.
        """
        name = next((text for key, text in told.items() if _is(key, SECRET_REF)), "").strip()
        if not name:
            return given
        if any(_is(key, known) for key in given for known in (*_KEYS, "akId", "akSecret")):
            raise errors.InvalidField(
                SECRET_REF, "and an access key in the secrets exclude each other", value=name
            )
        found = await self._kubernetes.read(api.Kind.SECRET, name, self._namespace)
        if found is None:
            raise errors.Precondition(f"there is no Secret {name} in namespace {self._namespace}")
        data = found.get("data") or {}
        return {key: _text(name, key, data[key]) for key in data if key in _KEYS}


def _is(key: str, name: str) -> bool:
    return key.strip().lower() == name.lower()


def _text(name: str, key: str, encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise errors.Precondition(f"Secret {name}: {key} is no text") from None
