#!/usr/bin/env bash
# Installs all that `make test` and `make demo` need, and says what it installs. Safe to run again.
#   Debian packages   when root and missing
#   .venv/            our dependencies at the versions of constraints.txt
#   .tools/           csi-sanity, cnitool (go install), import-linter (its own environment: it would bring
#                     `rich` into ours, which structlog then imports, 5 MB in every process)
# Usage: tools/setup.sh [base|all]   base = without those of .tools/ but cnitool
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
CSI_SANITY_VERSION=v5.6.0
CNITOOL_VERSION=v1.3.0
OSS_V2_VERSION=1.4.1
IMPORT_LINTER_VERSION=2.16
DEBIAN_PACKAGES=(e2fsprogs xfsprogs fdisk util-linux mount procps strace python3-venv iproute2 nftables iptables
                 containerd runc containernetworking-plugins busybox-static gcc libpython3-dev python3
                 user-mode-linux kmod nfs-common nfs-kernel-server rpcbind quota lvm2 dmsetup
                 thin-provisioning-tools cryptsetup-bin s3fs fuse rclone)
# Of these, what runs a service when installed. Ours run in the lab only.
SERVICES=(rpcbind.service rpcbind.socket nfs-server.service nfs-client.target lvm2-monitor.service lvm2-lvmpolld.socket
          blk-availability.service)

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

debian_packages() {
    command -v dpkg-query >/dev/null || { say "not a Debian system: install ${DEBIAN_PACKAGES[*]} yourself"; return; }
    local missing=() package
    for package in "${DEBIAN_PACKAGES[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && { say "Debian packages are there"; return; }
    [ "$(id -u)" -eq 0 ] || die "missing Debian packages: ${missing[*]}; install them as root: apt-get install ${missing[*]}"
    say "installing Debian packages: ${missing[*]}"
    apt-get update -q >/dev/null
    local there=() service
    for service in "${SERVICES[@]}"; do [ -e "/lib/systemd/system/$service" ] && there+=("$service"); done
    start_nothing
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
    # Nor after the next boot. What was there before stays as it was.
    for service in "${SERVICES[@]}"; do
        [[ " ${there[*]} " == *" $service "* ]] || systemctl disable -q "$service" 2>/dev/null || true
    done
}

# Debian starts a package's services when it installs it, unless this file says no.
start_nothing() {
    local policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] && return
    # shellcheck disable=SC2064
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
        [ -n "$candidate" ] && "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
            && { echo "$candidate"; return; }
    done
    die "no Python 3.11 or newer with venv found; on Debian 12: apt-get install python3 python3-venv"
}

virtual_environment() {
    local stamp=.venv/.stamp want
    want=$(cat pyproject.toml constraints.txt | sha256sum)
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && { say "virtual environment is up to date"; return; }
    local python
    python=$(find_python)
    say "making .venv with $("$python" --version) (about a minute)"
    "$python" -m venv --clear .venv
    .venv/bin/pip install -q --disable-pip-version-check -c constraints.txt "$@"
    .venv/bin/python -m compileall -q .venv/lib || true
    echo "$want" >"$stamp"
}

requirements() {
    "$(find_python)" - <<'PY'
import tomllib
with open("pyproject.toml", "rb") as f:
    project = tomllib.load(f)
names = project["project"]["dependencies"] + project["dependency-groups"]["test"] + project["dependency-groups"]["lint"]
print("\n".join(n.replace(" ", "") for n in names))
PY
}

go_tool() {
    local name=$1 package=$2 version=$3 stamp=.tools/bin/.$1-$3 go
    [ -f "$stamp" ] && { say "$name $version is there"; return; }
    go=$(tools/go.sh)
    say "building $name $version (up to half a minute)"
    mkdir -p .tools/bin
    GOBIN=$PWD/.tools/bin "$go" install "$package@$version"
    touch "$stamp"
}

import_linter() {
    local stamp=.tools/lint/.import-linter-$IMPORT_LINTER_VERSION
    [ -f "$stamp" ] && { say "import-linter $IMPORT_LINTER_VERSION is there"; return; }
    say "installing import-linter $IMPORT_LINTER_VERSION"
    "$(find_python)" -m venv --clear .tools/lint
    .tools/lint/bin/pip install -q --disable-pip-version-check "import-linter==$IMPORT_LINTER_VERSION"
    touch "$stamp"
}

# Alibaba's newer client of object storage cannot share an environment with oss2: both bring a crcmod.
oss_v2() {
    local stamp=.tools/oss-v2/.stamp-$OSS_V2_VERSION
    [ -f "$stamp" ] && { say "alibabacloud-oss-v2 $OSS_V2_VERSION is there"; return; }
    say "installing alibabacloud-oss-v2 $OSS_V2_VERSION"
    rm -rf .tools/oss-v2
    .venv/bin/pip install -q --disable-pip-version-check --target .tools/oss-v2 "alibabacloud-oss-v2==$OSS_V2_VERSION"
    touch "$stamp"
}

debian_packages
mapfile -t needs < <(requirements)
virtual_environment "${needs[@]}"
go_tool cnitool github.com/containernetworking/cni/cnitool "$CNITOOL_VERSION"
if [ "$what" = all ]; then
    go_tool csi-sanity github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity "$CSI_SANITY_VERSION"
    import_linter
    oss_v2
fi
say "done"
