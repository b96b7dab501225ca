#!/usr/bin/env bash
# Builds the CNI executable from cni/terway.py, twice:
#   OUT/static/terway                 one static file, needs no Python on the node (default)
#   OUT/pyc/terway, terway.pyc, .py   a launcher for /usr/bin/python3 -ISE, the fallback
# The static one needs gcc and the static library of Python 3.11 (Debian 12: gcc, libpython3-dev);
# without them it is skipped and said so. Usage: tools/build_cni.sh OUT
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: tools/build_cni.sh OUT}
python=${CNI_PYTHON:-/usr/bin/python3}
say() { printf 'build_cni: %s\n' "$*"; }

build_pyc() {
    mkdir -p "$out/pyc"
    install -m 0755 cni/launcher.py "$out/pyc/terway"
    install -m 0644 cni/terway.py "$out/pyc/terway.py"
    "$python" -ISE -X no_debug_ranges - "$out/pyc/terway.py" "$out/pyc/terway.pyc" <<'PY'
import py_compile, sys
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
py_compile.compile(sys.argv[1], sys.argv[2], dfile="terway.py", doraise=True, optimize=2, invalidation_mode=mode)
PY
    say "$out/pyc/terway: $(stat -c %s "$out/pyc/terway.pyc") bytes of code for $("$python" --version)"
}

build_static() {
    local version library include build
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    [ "$version" = 3.11 ] || { say "static build skipped: it needs Python 3.11, $python is $version"; return; }
    library=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBPL"))')/libpython3.11.a
    include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    [ -f "$library" ] && [ -f "$include/Python.h" ] || { say "static build skipped: $library or Python.h is missing (Debian: libpython3-dev)"; return; }
    command -v gcc >/dev/null && command -v objcopy >/dev/null || { say "static build skipped: gcc or binutils is missing"; return; }
    build=$(mktemp -d)
    trap 'rm -rf "$build"' RETURN
    "$python" -ISE -X no_debug_ranges cni/static/headers.py cni/terway.py "$build"
    for source in main config frozen memory; do
        gcc -O2 -Wall -Werror -I"$include" -I"$build" -c "cni/static/$source.c" -o "$build/$source.o"
    done
    objcopy --redefine-syms=cni/static/memory.symbols "$library" "$build/libpython3.11.a"
    # The library's name look-ups want glibc at run time; the program resolves no names.
    gcc -static -no-pie -Wl,--gc-sections -Wl,-T,cni/static/state.ld -o "$build/unprepared" \
        "$build"/{main,config,frozen,memory}.o "$build/libpython3.11.a" \
        -lm -lz -lexpat 2>"$build/warnings" || { cat "$build/warnings" >&2; return 1; }
    # It starts the interpreter and writes down what came of it, which goes into the file.
    env -i "$build/unprepared" >"$build/state" || { cat "$build/state" >&2; return 1; }
    objcopy -S --update-section .pystate="$build/state" "$build/unprepared" "$build/terway"
    mkdir -p "$out/static"
    install -m 0755 "$build/terway" "$out/static/terway"
    say "$out/static/terway: $(stat -c %s "$out/static/terway") bytes"
}

build_pyc
build_static
