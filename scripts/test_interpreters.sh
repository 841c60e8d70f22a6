#!/bin/bash
# Builds a wheel for each interpreter named, and runs the tests on it with both backends.
#
# Usage: scripts/test_interpreters.sh python3.10 python3.14t ...
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

failed=()
for interpreter in "$@"; do
    echo "=== $("$interpreter" -VV)"
    venv=$(mktemp -d "$folder/XXXX")
    if "$interpreter" -m venv "$venv" &&
        "$venv/bin/python" -m pip install -q --upgrade 'pip>=25.1' &&
        # From a copy: several interpreters must not share build/.
        git -C "$root" ls-files -z --cached --others --exclude-standard |
        tar -C "$root" --null --files-from=- -cf - | tar -xf - --one-top-level="$venv/source" &&
        WSFAST_EXTENSION=1 "$venv/bin/python" -m pip install -q --group "$root/pyproject.toml:test" "$venv/source" &&
        WSFAST_EXTENSION=1 "$root/scripts/test_installed.sh" "$venv/bin/python" -q &&
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
