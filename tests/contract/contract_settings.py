"""Settings of clients of the simulator."""

from cloud import settings as cloud_settings
from core import settings
from tests.support import processes


def read(rig: processes.Rig, **changes: str) -> cloud_settings.CloudSettings:
    """Settings for the simulator of *rig*; "" takes a variable away.

    Look-ups and polls go out quickly, as the simulator's disks change quickly.
    """
    environ = rig.environment(ALIBABA_CLOUD_DESCRIBE_QPS="100")
    environ["ALIBABA_CLOUD_ACK_ADDON_TOKEN_PATH"] = str(rig.dir / "no-token-config")
    reader = settings.Reader(environ | changes)
    found = cloud_settings.read_cloud(reader)
    reader.finish()
    return found
