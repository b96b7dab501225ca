"""csi-sanity against the CPFS driver on the lab's kernel: the same suite as on this machine's."""

from tests.sanity.test_sanity_cpfs import (  # noqa: F401 - pytest collects them here
    proxy,
    pytestmark,
    rig,
    test_csi_sanity,
)
