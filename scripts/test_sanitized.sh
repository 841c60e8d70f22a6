#!/bin/bash
# Runs the tests on an extension built with AddressSanitizer and UndefinedBehaviorSanitizer.
#
# Usage: scripts/test_sanitized.sh PYTHON [pytest argument]...
#        PYTHON has the `test` dependency group, setuptools and Cython; CC as for any build (gcc by default)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=$(command -v "$1")
shift
cc=${CC:-gcc}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cp -R "$root"/{csrc,wsfast,bench,tests,setup.py,pyproject.toml,README.md,LICENSE} "$folder"
rm -f "$folder"/wsfast/*.so
cd "$folder"

# The interpreter itself is not instrumented, so the runtime has to be there before it starts: clang's, which holds
# both sanitizers, or gcc's two.
runtime=$($cc -print-file-name="libclang_rt.asan-$(uname -m).so")
if [[ $runtime == */* ]]; then
    export LDFLAGS="${LDFLAGS:-} -shared-libasan"
    libraries=$runtime
else
    libraries="$($cc -print-file-name=libasan.so) $($cc -print-file-name=libubsan.so)"
fi
CC=$cc WSFAST_EXTENSION=1 WSFAST_SANITIZE=1 "$python" setup.py -q build_ext --inplace

# CPython keeps what it allocates once until it exits: leaks are the memory tests' subject.
sanitized=(env "LD_PRELOAD=$libraries" PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0
    UBSAN_OPTIONS=print_stacktrace=1 WSFAST_EXTENSION=1 "$python")
"${sanitized[@]}" -c 'import wsfast; print("testing", wsfast.__file__, wsfast.backend, wsfast.isa)'
"${sanitized[@]}" -m pytest "$@"
