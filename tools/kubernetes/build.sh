#!/usr/bin/env bash
# Builds Kubernetes, etcd, helm and the sidecars of CSI drivers, once, and prints the directory that has them:
#   bin/   etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl helm
#          csi-provisioner csi-attacher csi-resizer csi-snapshotter snapshot-controller
#   crds/  the CustomResourceDefinitions of snapshots
# Versions are those of go.mod and sidecars/go.mod. Sources come through the Go module proxy and are checked against
# go.sum. The directory is in the user's cache, its name has the version and a digest of this directory: what was
# built is used by every checkout that asks for the same. Cold: six to nine minutes on two cores; progress is on
# standard error.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
KUBERNETES=v1.34.3
component=k8s.io/component-base/version
kubernetes_flags="-s -w -X $component.gitVersion=$KUBERNETES -X $component.gitMajor=1 -X $component.gitMinor=34"
kubernetes=(go.etcd.io/etcd/server/v3 k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kubectl}
            helm.sh/helm/v3/cmd/helm)
csi=github.com/kubernetes-csi
sidecars=("$csi"/external-provisioner/v6/cmd/csi-provisioner "$csi"/external-attacher/v4/cmd/csi-attacher
          "$csi"/external-resizer/v2/cmd/csi-resizer "$csi"/external-snapshotter/v8/cmd/{csi-snapshotter,snapshot-controller})

say() { printf 'kubernetes: %s\n' "$*" >&2; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/alibaba-cloud-k8s
digest=$(cd "$here" && cat build.sh go.mod go.sum sidecars/go.mod sidecars/go.sum | sha256sum | cut -c1-10)
result=$cache/kubernetes-$KUBERNETES-$digest
[ -d "$result" ] && { echo "$result"; exit; }

mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || { say "somebody else builds; waiting"; flock 9; }
[ -d "$result" ] && { echo "$result"; exit; }

go=$(GO_AT_LEAST=26 "$here/../go.sh")
making=$result.tmp
trap 'rm -rf "$making"' EXIT
rm -rf "$making"
mkdir -p "$making/bin" "$making/crds"

# go build -v names each package when it is compiled; a line every ten seconds is enough.
progress() {
    local what=$1 total=$2 line compiled=0 told=$SECONDS
    while IFS= read -r line; do
        case $line in \#* | *" "*) printf '%s\n' "$line" >&2; continue ;; esac
        compiled=$((compiled + 1))
        [ $((SECONDS - told)) -ge 10 ] || continue
        told=$SECONDS
        say "$what: compiling, $compiled of at most $total packages"
    done
}

build() {
    local what=$1 directory=$2 flags=$3 total
    shift 3
    cd "$directory"
    say "$what: fetching sources"
    total=$(CGO_ENABLED=0 "$go" list -mod=readonly -deps "$@" 2>/dev/null | wc -l)
    say "$what: building $# programs"
    CGO_ENABLED=0 "$go" build -v -mod=readonly -trimpath -buildvcs=false -ldflags "$flags" -o "$making/bin/" "$@" 2>&1 \
        | progress "$what" "$total"
    say "$what: built"
}

build "Kubernetes $KUBERNETES" "$here" "$kubernetes_flags" "${kubernetes[@]}"
mv "$making/bin/server" "$making/bin/etcd"
build "sidecars" "$here/sidecars" "-s -w" "${sidecars[@]}"
snapshots=$(cd "$here/sidecars" && "$go" list -mod=readonly -m -f '{{.Dir}}' "$csi/external-snapshotter/client/v8")
install -m 0644 "$snapshots"/config/crd/*snapshot*.yaml "$making/crds/"
mv "$making" "$result"
say "kept in $result"
echo "$result"
