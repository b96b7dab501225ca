"""A node with the OSS node service, csi-mounter and the simulated object storage."""

import shutil
from collections.abc import Iterator

import pytest

from tests.support import oss_node


@pytest.fixture
def node() -> Iterator[oss_node.OssNode]:
    made = oss_node.OssNode()
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture(params=["s3fs", "ossfs"])
def any_node(request: pytest.FixtureRequest) -> Iterator[oss_node.OssNode]:
    """The same with each client of this machine whose requests the simulated storage knows."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed on this machine")
    made = oss_node.OssNode(fuse_type=request.param)
    try:
        made.start()
        yield made
    finally:
        made.close()
