#!/bin/bash
# Runs the tests on the wsfast that is installed, whatever the checkout holds.
#
# From the checkout, Python would import the checkout's own wsfast/ instead; so the tests are copied elsewhere.
# Usage: scripts/test_installed.sh PYTHON [pytest argument]...
#        PYTHON has wsfast and the `test` dependency group
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=$(command -v "$1")
[[ $python == /* ]] || python=$PWD/$python
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -R "$root/tests" "$root/bench" "$root/csrc" "$root/pyproject.toml" "$root/README.md" "$folder"
cd "$folder"
"$python" -c 'import wsfast; print("testing", wsfast.__file__, wsfast.backend, wsfast.isa)'
"$python" -m pytest "$@"
