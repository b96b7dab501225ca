"""The gate: these tests are collected only by `make clients`, which sets GO_CLIENTS."""

import os

collect_ignore_glob = [] if os.environ.get("GO_CLIENTS") == "1" else ["test_*.py"]
