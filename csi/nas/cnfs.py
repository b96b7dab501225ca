"""ContainerNetworkFileSystem objects in place of a server: what they make of parameters. Pure.

Source: spec/csi-driver.md 3.2, 3.5, 3.6.
"""

from collections.abc import Mapping

from core import errors
from csi import cnfs as csi_cnfs
from csi.nas import clients
from kube import cnfs

KEY = csi_cnfs.KEY
_FIELD = f"parameters[{KEY}]"
_KINDS = ("nas", "cpfs")
_CPFS = "cpfs"
_STANDARD = "standard"
_ACCESSPOINT = "accesspoint"
_BESIDE: Mapping[str, tuple[str, ...]] = {
    _ACCESSPOINT: ("fileSystemId", "vpcId", "vSwitchId"),
    "": ("server", "fileSystemId", "mountProtocol"),
}
"""Parameters that the object tells, by volumeAs; "" = the others."""


def require_alone(parameters: Mapping[str, str]) -> None:
    """Raise InvalidField for a parameter of a class that its object tells too."""
    volume_as = parameters.get("volumeAs", "")
    for key in _BESIDE.get(volume_as, _BESIDE[""]):
        if parameters.get(key):
            raise errors.InvalidField(
                f"parameters[{key}]",
                f"does not go with {KEY}, which tells it",
                value=parameters[key],
                allowed="one of the two",
            )


def complete(parameters: Mapping[str, str], found: cnfs.Cnfs) -> dict[str, str]:
    """Parameters of a class that names *found*, with what the object tells in them.

    Raises InvalidField for an object of another kind; Precondition while it does not tell what is
    needed.
    """
    csi_cnfs.require_kind(found, *_KINDS, field=_FIELD)
    if parameters.get("volumeAs", "") == _ACCESSPOINT:
        return _with_accesspoint(parameters, found)
    server, _ = server_and_client(found)
    told = {"server": server, "fileSystemId": found.file_system_id}
    return {**parameters, **{key: text for key, text in told.items() if text}}


def mounted_as(context: Mapping[str, str], found: cnfs.Cnfs) -> dict[str, str]:
    """The volume_context that mounts the same path of *found* with the client it asks for.

    Raises Precondition while the object does not tell its server.
    """
    csi_cnfs.require_kind(found, *_KINDS, field=f"volume_context[{KEY}]")
    server, client = server_and_client(found)
    replaced = ("server", "filesystemtype", "filesystemid", "useclient", "mountprotocol")
    kept = {key: text for key, text in context.items() if key.lower() not in replaced}
    return {
        **kept,
        **client,
        "server": server,
        "fileSystemId": found.file_system_id,
        "fileSystemType": found.file_system_type,
    }


def by_kernel(found: cnfs.Cnfs) -> bool:
    """Whether the kernel's NFS client mounts *found*; else a broker does."""
    return found.file_system_type != _CPFS and found.use_client is cnfs.UseClient.NFS


def server_and_client(found: cnfs.Cnfs) -> tuple[str, Mapping[str, str]]:
    """Server of *found*, and the keys of a volume_context that choose its client.

    Raises Precondition when the object does not tell the server.
    """
    protocol_service = found.file_system_type == _CPFS and found.use_client is cnfs.UseClient.NFS
    if protocol_service:
        server, field = found.protocol_server, "protocolServer"
        keys = {"mountProtocol": clients.Protocol.CPFS_NFS.value}
    else:
        server, field = found.server, "server"
        keys = {"useClient": found.use_client.value}
    csi_cnfs.require_told(found, {field: server})
    return server, keys


def _with_accesspoint(parameters: Mapping[str, str], found: cnfs.Cnfs) -> dict[str, str]:
    if found.file_system_type != _STANDARD:
        raise errors.InvalidField(
            _FIELD,
            f"is of type {found.file_system_type or 'unknown'}, which has no access points",
            value=found.name,
            allowed="an object of type standard",
        )
    network = {"vpcId": found.vpc_id, "vSwitchId": found.vswitch_id}
    csi_cnfs.require_told(found, {"filesystemId": found.file_system_id, **network})
    return {**parameters, "fileSystemId": found.file_system_id, **network}
