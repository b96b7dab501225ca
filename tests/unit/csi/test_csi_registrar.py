import stat

import grpc.aio
import pytest

from core import errors
from csi import registrar
from csi._pb import pluginregistration_pb2 as pb
from csi._pb import pluginregistration_pb2_grpc as pb_grpc

NAME = "diskplugin.csi.alibabacloud.com"


async def test_kubelet_learns_name_endpoint_and_version_and_the_socket_goes_with_us(tmp_path):
    served = registrar.Registrar(tmp_path, NAME, "/var/lib/kubelet/plugins/disk/csi.sock")
    await served.start()
    socket = tmp_path / f"{NAME}-reg.sock"

    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        stub = pb_grpc.RegistrationStub(channel)
        info = await stub.GetInfo(pb.InfoRequest())
        await stub.NotifyRegistrationStatus(pb.RegistrationStatus(plugin_registered=True))

    assert (info.type, info.name) == ("CSIPlugin", NAME)
    assert info.endpoint == "/var/lib/kubelet/plugins/disk/csi.sock"
    assert list(info.supported_versions) == ["1.0.0"]
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    await served.stop()
    assert not socket.exists()


async def test_a_refused_registration_is_tried_again(tmp_path):
    served = registrar.Registrar(tmp_path, NAME, "/csi.sock", retry_s=0.01)
    await served.start()
    socket = tmp_path / f"{NAME}-reg.sock"
    first = socket.stat().st_ctime_ns

    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        stub = pb_grpc.RegistrationStub(channel)
        await stub.NotifyRegistrationStatus(pb.RegistrationStatus(error="no such driver"))
    await served.registered_again.wait()
    again = socket.stat().st_ctime_ns
    await served.stop()

    assert again > first


async def test_a_missing_directory_is_told(tmp_path):
    with pytest.raises(errors.Precondition, match="does not exist"):
        await registrar.Registrar(tmp_path / "no", NAME, "/csi.sock").start()


async def test_what_another_registrar_has_made_stays(tmp_path):
    first, second = (registrar.Registrar(tmp_path, NAME, "/csi.sock") for _ in range(2))
    await first.start()

    with pytest.raises(errors.Precondition, match="another process serves"):
        await second.start()
    await second.stop()

    assert (tmp_path / f"{NAME}-reg.sock").exists()
    await first.stop()
