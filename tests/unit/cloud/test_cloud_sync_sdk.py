import subprocess
import sys

import pytest

from cloud import sync_sdk

_LEAN = """
import sys
from cloud import sync_sdk
sync_sdk.load()
import alibabacloud_tea_openapi.client
assert not hasattr(sys.modules["aiohttp"], "TCPConnector")
found = {name.partition(".")[0] for name in sys.modules}
unwanted = {"cryptography", "apscheduler", "charset_normalizer", "chardet", "tzlocal"} & found
assert not unwanted, unwanted
"""
_TOO_LATE = """
import aiohttp, cryptography.hazmat.primitives.hashes
from cloud import sync_sdk
sync_sdk.load()
sync_sdk.load()
assert aiohttp.TCPConnector
import alibabacloud_tea_openapi.utils as utils
assert utils.hashes is cryptography.hazmat.primitives.hashes
"""
_RSA = """
from cloud import sync_sdk
sync_sdk.load()
import alibabacloud_tea_openapi.utils as utils
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
key = rsa.generate_private_key(65537, 2048)
pem = key.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)
signed = utils.rsa_sign(b"text", pem)
key.public_key().verify(signed, b"text", padding.PKCS1v15(), hashes.SHA256())
"""
_TEXT = """
from cloud import sync_sdk
sync_sdk.load()
import requests
answer = requests.Response()
answer._content = "ü".encode()
assert answer.text == "ü"
"""
_SCHEDULER = """
from cloud import sync_sdk
sync_sdk.load()
from alibabacloud_credentials.provider import ecs_ram_role
import apscheduler.schedulers.background as real
assert isinstance(ecs_ram_role.BackgroundScheduler(), real.BackgroundScheduler)
"""
_OTHER_SDK = """
import sys, types
from cloud import sync_sdk
sync_sdk._CRYPTOGRAPHY = {"cryptography": (), "cryptography.hazmat": ()}
sync_sdk.load()
import alibabacloud_tea_openapi.utils as utils
assert isinstance(utils.hashes, types.ModuleType)
"""
_CALLED = """
import asyncio, sys
from cloud import errors, openapi, settings
from core import clock, metrics, settings as core_settings
told = {"REGION_ID": "cn-hangzhou", "VPC_ENDPOINT": "127.0.0.1:9"}
told |= {"ALIBABA_CLOUD_ACCESS_KEY_ID": "i", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s"}
api = openapi.OpenApi(
    settings.read_cloud(core_settings.Reader(told)),
    metrics.Metrics(), clock.SystemClock(), region=lambda: "cn-hangzhou",
)
try:
    asyncio.run(api.call(openapi.VPC, "DescribeVSwitches", {}))
except errors.CloudUnavailable:
    pass
made = vars(sys.modules["alibabacloud_vpc20160428.client"].Client)
assert "describe_vswitches_with_options" in made
assert not [name for name in made if name.endswith("_async")]
"""


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(_LEAN, id="the SDK loads without what we do not use"),
        pytest.param(_TOO_LATE, id="a process that uses it keeps it"),
        pytest.param(_CALLED, id="a client that calls has no async methods"),
        pytest.param(_RSA, id="RSA keys work, when somebody has one"),
        pytest.param(_TEXT, id="answers are read without a detector of character sets"),
        pytest.param(_SCHEDULER, id="the scheduler works"),
        pytest.param(_OTHER_SDK, id="an SDK that is written differently is imported as it is"),
    ],
)
def test_in_a_process_of_its_own(script):
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_only_methods_with_a_sync_one_beside_them_go():
    class Client:
        def read(self): ...
        async def read_async(self): ...
        async def write_async(self): ...

    sync_sdk.drop_async(Client)

    assert {name for name in vars(Client) if not name.startswith("__")} == {"read", "write_async"}
