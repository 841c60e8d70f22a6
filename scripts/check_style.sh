#!/bin/bash
# Style of everything: Python, Cython, C, prose. The tools are the `lint` dependency group.
# Usage: scripts/check_style.sh            with the tools on PATH
set -euo pipefail
cd "$(dirname "$0")/.."
set -x
ruff check .
ruff format --check .
cython-lint wsfast/*.pyx wsfast/*.px[di]
find csrc tests/c bench/endpoints wsfast/*.h -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run --Werror
codespell README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md AGENTS.md csrc wsfast scripts
