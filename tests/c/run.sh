#!/bin/sh
# Builds and runs the kernels' tests. Without options: the quick cases for every set this CPU has,
# under AddressSanitizer and UndefinedBehaviorSanitizer. Options add runs; a failure ends them.
#
#   --full              every case, optimised, without sanitizers (minutes; all 2^29 four-byte
#                       strings for every set)
#   --compiler CC       the compiler to use (default: $CC, or cc)
#   --avx512-emulated   the AVX-512 set on any CPU with AVX2, through SIMDe (Debian: libsimde-dev)
#   --cross             other CPUs through QEMU (Debian: qemu-user-static) and Zig (pip: ziglang;
#                       $ZIG, default "python3 -m ziglang"): NEON, big-endian, 32-bit and older x86
set -eu

cd "$(dirname "$0")"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
trap 'exit 130' INT TERM

compiler=${CC:-cc}
zig=${ZIG:-python3 -m ziglang}
full= cross= emulated=
while [ $# -gt 0 ]; do
    case $1 in
    --full) full=yes ;;
    --cross) cross=yes ;;
    --avx512-emulated) emulated=yes ;;
    --compiler) shift; compiler=${1:?--compiler needs a name} ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; exit 2 ;;
    esac
    shift
done

step() {
    printf '\n== %s\n' "$*"
}

# target, QEMU's name for it
run_cross() {
    step "$1 (QEMU)"
    # shellcheck disable=SC2086 # $zig is a command and its arguments
    $zig cc -target "$1" -static -std=c11 -O2 -Wall -Wextra -Werror -pedantic \
        -I../../csrc ../../csrc/*.c ./*.c -o "$build/cross-$2"
    "qemu-$2-static" "$build/cross-$2"
}

# QEMU's name of an x86-64 CPU, the set that must be chosen there
run_cpu() {
    step "x86-64 $1 (QEMU), expecting $2"
    "qemu-x86_64-static" -cpu "$1" "$build/cross-x86_64" >"$build/log" 2>&1 || {
        cat "$build/log"
        exit 1
    }
    grep -v 'TCG doesn.t support' "$build/log"
    grep -q "^active $2," "$build/log" || {
        echo "expected $2"
        exit 1
    }
}

step "$compiler, sanitizers"
make -s BUILD="$build" CC="$compiler" test

if [ -n "$emulated" ]; then
    step "$compiler, sanitizers, AVX-512 emulated"
    make -s BUILD="$build" CC="$compiler" emulated
fi

if [ -n "$full" ]; then
    step "$compiler, every case"
    make -s BUILD="$build" CC="$compiler" full
fi

if [ -n "$cross" ]; then
    run_cross aarch64-linux-musl aarch64
    run_cross s390x-linux-musl s390x
    run_cross riscv64-linux-musl riscv64
    run_cross powerpc64le-linux-musl ppc64le
    run_cross x86-linux-musl i386
    run_cross arm-linux-musleabihf arm
    run_cross x86_64-linux-musl x86_64
    run_cpu Haswell avx2
    run_cpu Nehalem sse4.1
    run_cpu core2duo scalar
fi

printf '\nall runs passed\n'
