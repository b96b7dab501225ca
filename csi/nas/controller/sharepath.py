"""volumeAs=sharepath: a directory that all volumes of a class share; nothing is made or deleted.

Source: spec/csi-driver.md 3.3.
"""

from csi.nas import server
from csi.nas.controller import made, params, subpath


def create(want: made.VolumeRequest, parameters: params.SharepathParameters) -> made.Made:
    """The volume, which only says where its directory is. Pure."""
    place = subpath.choose_place(parameters.places, want.name)
    told = {"server": place.host, "path": place.base}
    file_system_id = parameters.file_system_id or server.file_system_id(place.host)
    if file_system_id:
        told |= {"fileSystemId": file_system_id, "fileSystemType": server.kind_of(place.host).value}
    size_bytes = want.required_bytes or want.limit_bytes
    return made.Made(want.name, size_bytes, {**parameters.context, **told})
