"""Which program mounts a volume, and with which words: the matrix of spec/csi-driver.md 3.7. Pure.

The kernel's NFS client needs nothing else on the node. The other clients are programs of Alibaba
Cloud on the host or in a container of their own; they are asked through `host.mount_broker`.
"""

import dataclasses
import enum
import re
from collections.abc import Sequence

from core import errors

FIELD_PROTOCOL = "volume_context[mountProtocol]"
FIELD_CLIENT = "volume_context[useClient]"
_TAG = re.compile(r"[A-Za-z0-9_.:/@+#-]{1,128}")


class Client(enum.StrEnum):
    """What speaks to the file system."""

    NFS = "nfs"  # the kernel
    ALINAS = "alinas"  # NFS through a TLS tunnel; access points need it
    EFC = "efc"  # elastic file client
    CPFS_NFS = "cpfs-nfs"
    CPFS_NATIVE = "cpfs"


class UseClient(enum.StrEnum):
    """Values of `useClient`."""

    NONE = ""
    NFS = "NFSClient"
    EFC = "EFCClient"
    NATIVE = "NativeClient"


class Protocol(enum.StrEnum):
    """Values of `mountProtocol`."""

    NONE = ""
    NFS = "nfs"
    EFC = "efc"
    CPFS = "cpfs"
    CPFS_NFS = "cpfs-nfs"
    CPFS_NATIVE = "cpfs-native"
    ALINAS = "alinas"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mounting:
    """One call of mount(8), by us or by a broker. options: one each, the version among them."""

    client: Client
    source: str
    fs_type: str
    options: tuple[str, ...]

    @property
    def read_only(self) -> bool:
        """Whether nobody can write through it."""
        return "ro" in self.options


_BY_PROTOCOL = {
    Protocol.NONE: Client.NFS,
    Protocol.NFS: Client.NFS,
    Protocol.EFC: Client.EFC,
    Protocol.CPFS: Client.CPFS_NATIVE,
    Protocol.CPFS_NATIVE: Client.CPFS_NATIVE,
    Protocol.CPFS_NFS: Client.CPFS_NFS,
    Protocol.ALINAS: Client.ALINAS,
}
_BY_USE = {
    UseClient.NFS: Client.NFS,
    UseClient.EFC: Client.EFC,
    UseClient.NATIVE: Client.CPFS_NATIVE,
}
_STANDARD, _CPFS = "standard", "cpfs"
_TYPES = {
    Client.EFC: (_STANDARD, _CPFS),
    Client.CPFS_NATIVE: (_CPFS,),
    Client.CPFS_NFS: (_CPFS,),
}


def choose_client(
    *, use_client: UseClient, protocol: Protocol, file_system_type: str, accesspoint: bool
) -> Client:
    """The client of a volume; `useClient` wins over `mountProtocol`, an access point over both.

    file_system_type: standard, extreme or cpfs, "" = a server of one's own.
    Raises InvalidField when the client does not speak to such a file system.
    """
    if accesspoint:
        return _of_accesspoint(use_client, protocol)
    client = _BY_USE.get(use_client, _BY_PROTOCOL[protocol])
    types = _TYPES.get(client)
    if types is not None and file_system_type not in types:
        by_use = use_client is not UseClient.NONE
        raise errors.InvalidField(
            FIELD_CLIENT if by_use else FIELD_PROTOCOL,
            f"does not serve a file system of type {file_system_type or 'unknown'}",
            value=str(use_client if by_use else protocol),
            allowed=f"file systems of type {' or '.join(types)}",
        )
    return client


def mounting(
    client: Client,
    *,
    source: str,
    options: Sequence[str],
    volume_id: str,
    pod_uid: str,
    file_system_type: str,
    by_protocol: bool,
    accesspoint: bool,
) -> Mounting:
    """How *client* mounts *source*. options: as for the kernel, `vers=` first.

    by_protocol: the elastic client was named by `mountProtocol`, which CPFS tells apart.
    Raises InvalidField when the elastic client cannot be told whose volume it is.
    """
    version, others = tuple(options[:1]), tuple(options[1:])
    words: tuple[str, ...]
    match client:
        case Client.EFC if by_protocol and file_system_type == _CPFS:
            words = (*others, "efc", "protocol=efc", "net=tcp", "fstype=cpfs")
        case Client.EFC:
            owner = (f"bindtag={_tag('volume_id', volume_id)}", f"client_owner={_owner(pod_uid)}")
            nfs3 = ("protocol=nfs3",) if file_system_type == _CPFS else ()
            words = (*others, "efc", *owner, *nfs3)
        case Client.CPFS_NATIVE:
            words = others
        case Client.ALINAS if accesspoint:
            words = (*version, *others, "tls")
        case _:
            words = (*version, *others)
    return Mounting(client=client, source=source, fs_type=fs_type(client), options=words)


def fs_type(client: Client) -> str:
    """Type that mount(8) is told."""
    return "alinas" if client is Client.EFC else client.value


def _of_accesspoint(use_client: UseClient, protocol: Protocol) -> Client:
    """Only the client with a TLS tunnel reaches an access point."""
    if use_client is not UseClient.NONE:
        raise errors.InvalidField(
            FIELD_CLIENT, "cannot be with an access point", value=str(use_client), allowed="none"
        )
    if protocol not in (Protocol.NONE, Protocol.NFS, Protocol.ALINAS):
        raise errors.InvalidField(
            FIELD_PROTOCOL, "cannot be with an access point", value=str(protocol), allowed="alinas"
        )
    return Client.ALINAS


def _owner(pod_uid: str) -> str:
    if not pod_uid:
        raise errors.InvalidField(
            "volume_context[csi.storage.k8s.io/pod.uid]",
            "is required by the elastic client; set podInfoOnMount in the CSIDriver object",
        )
    return _tag("volume_context[csi.storage.k8s.io/pod.uid]", pod_uid)


def _tag(field: str, text: str) -> str:
    if not _TAG.fullmatch(text):
        raise errors.InvalidField(
            field,
            "cannot be told to the elastic client",
            value=text,
            allowed="at most 128 letters, digits and _.:/@+#-",
        )
    return text
