#!/bin/bash
# Builds a wheel for each interpreter named, and runs the tests on it with both backends; on PyPy with the twin,
# and on free-threaded ones also in four threads at once.
#
# Usage: scripts/test_interpreters.sh python3.10 python3.14t ...
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Where the newest of these has no wheel, an older one that has.
export PIP_ONLY_BINARY=hypothesis,numpy
failed=()
for interpreter in "$@"; do
    echo "=== $("$interpreter" -VV)"
    kind=$("$interpreter" -c 'import sys, sysconfig as s
print("t" if s.get_config_var("Py_GIL_DISABLED") else sys.implementation.name)')
    extension=1 group=test
    if [[ $kind == pypy ]]; then extension=0; fi
    if [[ $kind == t ]]; then group=threads; fi
    venv=$(mktemp -d "$folder/XXXX")
    if "$interpreter" -m venv "$venv" &&
        "$venv/bin/python" -m pip install -q --upgrade 'pip>=25.1' &&
        # From a copy: several interpreters must not share build/.
        git -C "$root" ls-files -z --cached --others --exclude-standard |
        tar -C "$root" --null --files-from=- -cf - | tar -xf - --one-top-level="$venv/source" &&
        WSFAST_EXTENSION=$extension "$venv/bin/python" -m pip install -q --group "$root/pyproject.toml:$group" \
            "$venv/source" &&
        { [[ $kind != t ]] || "$venv/bin/python" -PW error -c 'import sys, wsfast; sys.exit(sys._is_gil_enabled())'; } &&
        { [[ $kind == pypy ]] ||
            WSFAST_EXTENSION=1 "$root/scripts/test_installed.sh" "$venv/bin/python" -q; } &&
        { [[ $kind != t ]] ||
            WSFAST_EXTENSION=1 "$root/scripts/test_installed.sh" "$venv/bin/python" -q \
                --parallel-threads=4 --ignore=tests/adapters --ignore=tests/cli; } &&
        WSFAST_EXTENSION=0 "$root/scripts/test_installed.sh" "$venv/bin/python" -q; then
        rm -rf "$venv"
    else
        failed+=("$interpreter")
    fi
done
if ((${#failed[@]})); then
    echo "failed on: ${failed[*]}" >&2
    exit 1
fi
echo "passed on: $*"
