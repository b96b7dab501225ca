import subprocess
import sys

_CALL = """
from cloud import sync_sdk
assert sync_sdk.leave_out_aiohttp()
import alibabacloud_tea_openapi.client, sys
assert not hasattr(sys.modules["aiohttp"], "TCPConnector")
"""
_TOO_LATE = """
import aiohttp
from cloud import sync_sdk
assert not sync_sdk.leave_out_aiohttp()
assert aiohttp.TCPConnector
"""


def test_the_sdk_loads_without_aiohttp():
    subprocess.run([sys.executable, "-c", _CALL], check=True)


def test_a_process_that_uses_aiohttp_keeps_it():
    subprocess.run([sys.executable, "-c", _TOO_LATE], check=True)
