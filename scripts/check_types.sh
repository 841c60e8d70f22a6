#!/bin/bash
# Types: mypy --strict over all Python, and the compiled module against its stub.
# Usage: scripts/check_types.sh [PYTHON]   PYTHON has the `types` dependency group and wsfast with its extension
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python}
set -x
"$python" -m mypy
"$python" -m mypy bench
# The signature of an __init__ without arguments is not to be had from a compiled class.
"$python" -m mypy.stubtest --allowlist <(echo wsfast._speedups.Utf8Validator.__init__) wsfast._speedups
