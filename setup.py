"""Build of the compiled half of wsfast: which extension is built, and with which flags.

Everything that does not depend on the machine (metadata, packages, tool configuration) is in pyproject.toml.

Environment variables read here:

| variable | meaning |
|---|---|
| `WSFAST_EXTENSION` | unset: build the extension if a compiler is there; `0`: never; `1`: fail without it |
| `WSFAST_DEBUG=1` | `-O0 -g`, C assertions on |
| `WSFAST_SANITIZE=1` | `-O1 -g` with AddressSanitizer and UndefinedBehaviorSanitizer |
| `WSFAST_COVERAGE=1` | line tracing for coverage.py's Cython plugin |
| `WSFAST_WERROR=1` | warnings of the C compiler are errors |

`WSFAST_EXTENSION` means the same at import, see `wsfast/_backend.py`.
"""

import os
import platform
import re
import sys
from glob import glob
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

PYX = "wsfast/_speedups.pyx"
# What makes WSFAST_INSTALL work; it has to lie beside the package, not in it.
STARTUP = "wsfast/wsfast-install.pth"
# Written when the flags differ from those of the last build; as a dependency of the extension it makes what
# another build variant left out of date (a second build would otherwise pack the first one's .so).
FLAGS_STAMP = Path("build", "flags.txt")

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "nonecheck": False,
    "cdivision": True,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    "autotestdict": False,
    # True only together with CYTHON_USE_MODULE_STATE: without it a subinterpreter cannot load the module.
    "freethreading_compatible": True,
    "subinterpreters_compatible": "own_gil",
}

# What Cython's generated C trips over, and nothing that would hide a fault of ours.
GENERATED_CODE_WARNINGS = [
    "-Wno-unused-function",
    "-Wno-unused-parameter",
    "-Wno-unused-variable",
    "-Wno-unused-but-set-variable",
    "-Wno-missing-field-initializers",
    "-Wno-cast-function-type",
    "-Wno-sign-compare",
    "-Wno-unreachable-code",
]


def switch(name: str) -> bool:
    """Reads an on/off build switch.

    Args:
        name: The environment variable.

    Returns:
        True for `1`, False when it is unset, empty or `0`.

    Raises:
        SystemExit: For any other value.
    """
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise SystemExit(f"{name} must be unset, 0 or 1, not {value!r}")
    return value == "1"


def extension_policy() -> str:
    """Reads WSFAST_EXTENSION.

    Returns:
        `never`, `required`, or `optional`; unset means `never` where C extensions are slower than
        jitted Python (PyPy, GraalPy).

    Raises:
        SystemExit: The variable has another value than 0 or 1.
    """
    if os.environ.get("WSFAST_EXTENSION", "") != "":
        return "required" if switch("WSFAST_EXTENSION") else "never"
    return "optional" if platform.python_implementation() == "CPython" else "never"


def banner(text: str) -> None:
    """Prints a line that stands out in a build log (pip shows it with -v)."""
    stars = "*" * (len(text) + 4)
    print(stars, f"* {text} *", stars, sep="\n", file=sys.stderr, flush=True)


def build_flags(msvc: bool) -> tuple[list[str], list[str]]:
    """Chooses the flags.

    No flag names a CPU: each kernel carries its own target attribute, and is called only where the CPU and
    the operating system support it. The optimisation level is explicit, because a CFLAGS in the environment
    replaces the one that Python was built with.

    Args:
        msvc: The compiler is Microsoft's; it needs no flag for intrinsics.

    Returns:
        Arguments for the compiler, arguments for the linker.
    """
    compile_args: list[str]
    link_args: list[str] = []
    if msvc:
        compile_args = ["/std:c11", "/Od" if switch("WSFAST_DEBUG") else "/O2"]
        if switch("WSFAST_WERROR"):
            compile_args += ["/WX"]
        if switch("WSFAST_SANITIZE"):
            raise SystemExit("WSFAST_SANITIZE needs gcc or clang")
        return compile_args, link_args

    compile_args = ["-std=c11", "-fvisibility=hidden"]
    if switch("WSFAST_SANITIZE"):
        sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
        compile_args += ["-O1", "-g", "-fno-omit-frame-pointer", *sanitizers]
        link_args += sanitizers
    elif switch("WSFAST_DEBUG"):
        compile_args += ["-O0", "-g", "-UNDEBUG"]
    else:
        compile_args += ["-O3", "-g0"]
    if switch("WSFAST_WERROR"):
        compile_args += ["-Wall", "-Wextra", "-Werror", *GENERATED_CODE_WARNINGS]
    return compile_args, link_args


def stamp_flags() -> str:
    """Notes this build's variant, leaving the file alone if it is the same as last time.

    Returns:
        The path of the note, for `Extension.depends`.
    """
    compile_args, link_args = build_flags(msvc=os.name == "nt")
    text = " ".join([*compile_args, *link_args, f"coverage={switch('WSFAST_COVERAGE')}"])
    if not FLAGS_STAMP.exists() or FLAGS_STAMP.read_text() != text:
        FLAGS_STAMP.parent.mkdir(exist_ok=True)
        FLAGS_STAMP.write_text(text)
    return str(FLAGS_STAMP)


def extensions(policy: str) -> list[Extension]:
    """Describes the extension and translates its Cython source to C."""
    # Only here, so that a build without the extension needs no Cython.
    from Cython.Build import cythonize

    coverage = switch("WSFAST_COVERAGE")
    # What belongs to the module, and its types, are each interpreter's own.
    macros: list[tuple[str, str | None]] = [("CYTHON_USE_MODULE_STATE", "1"), ("CYTHON_USE_TYPE_SPECS", "1")]
    if coverage:
        macros += [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1"), ("CYTHON_USE_SYS_MONITORING", "0")]
    included = glob("csrc/*.h") + glob("wsfast/*.h") + glob("wsfast/*.px[di]")
    speedups = Extension(
        "wsfast._speedups",
        sources=[PYX, *sorted(glob("csrc/*.c"))],
        depends=[*sorted(included), "setup.py", stamp_flags()],
        include_dirs=["csrc"],
        define_macros=macros,
    )
    translated: list[Extension] = cythonize(
        [speedups],
        compiler_directives=DIRECTIVES | {"linetrace": coverage},
        include_path=["wsfast"],
        force=coverage,
    )
    for ext in translated:
        # After cythonize, which does not carry it over.
        ext.optional = policy == "optional"
    return translated


class BuildExt(build_ext):
    """Adds this project's flags, and says in the log what came out."""

    def build_extension(self, ext: Extension) -> None:
        """Builds one extension; when that fails, no earlier build's file is left in its place."""
        compile_args, link_args = build_flags(self.compiler.compiler_type == "msvc")
        ext.extra_compile_args = [*ext.extra_compile_args, *compile_args]
        ext.extra_link_args = [*ext.extra_link_args, *link_args]
        try:
            super().build_extension(ext)
        except Exception:
            self.remove(ext)
            raise

    def remove(self, ext: Extension) -> None:
        """Removes the file that an earlier build of this extension left where this build would put it."""
        Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)

    def run(self) -> None:
        """Builds everything, and prints which kind of build it was."""
        in_place: bool = self.inplace
        self.inplace = False
        try:
            super().run()
            missing = [ext for ext in self.extensions if not Path(self.get_ext_fullpath(ext.name)).exists()]
        finally:
            self.inplace = in_place
        if in_place:
            self.copy_extensions_to_source()
            for ext in missing:
                self.remove(ext)
        if missing:
            banner("pure-Python build: no extension could be compiled (WSFAST_EXTENSION=1 makes it an error)")
        elif self.extensions:
            banner("accelerated build: wsfast._speedups was compiled")


class BuildPy(build_py):
    """Adds the file that Python reads when it starts, also to an editable installation."""

    def run(self) -> None:
        """Copies the modules, and that file to where it is installed beside the package."""
        super().run()
        folder: str = self.build_lib
        if self.editable_mode:
            # Where editable_wheel gathers what goes into the wheel as it is.
            install: Any = self.get_finalized_command("install")
            folder = install.install_lib
        self.mkpath(folder)
        self.copy_file(STARTUP, folder)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Lists what is built."""
        outputs: list[str] = super().get_outputs(include_bytecode)
        if not self.editable_mode:
            outputs.append(str(Path(self.build_lib, Path(STARTUP).name)))
        return outputs


class BdistWheel(bdist_wheel):
    """Tags a wheel by what is in it.

    When the optional extension could not be built, setuptools would still name the wheel after this platform;
    such a wheel is py3-none-any, like one built with WSFAST_EXTENSION=0.
    """

    def run(self) -> None:
        """Builds the extension first, and drops it from the distribution if nothing came of it."""
        if self.distribution.has_ext_modules():
            self.run_command("build_ext")
            command = self.get_finalized_command("build_ext")
            if not all(Path(path).exists() for path in command.get_outputs()):
                self.distribution.ext_modules = []
                self.root_is_pure = True
        super().run()


REPOSITORY = "https://github.com/wsfast/wsfast"


def long_description() -> str:
    """Return the README for package indexes, where links and pictures have to be whole addresses."""
    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
    text = re.sub(r"(!\[[^]]*\]\()(?!https?:)", rf"\1{REPOSITORY}/raw/main/", text)
    return re.sub(r"(?<!!)(\[[^]]*\]\()(?!https?:|#)", rf"\1{REPOSITORY}/blob/main/", text)


def main() -> None:
    """Runs setuptools with the extension that WSFAST_EXTENSION asks for."""
    policy = extension_policy()
    if policy == "never":
        banner("pure-Python build: no extension asked for")
    setup(
        long_description=long_description(),
        long_description_content_type="text/markdown",
        ext_modules=[] if policy == "never" else extensions(policy),
        cmdclass={"build_ext": BuildExt, "build_py": BuildPy, "bdist_wheel": BdistWheel},
    )


main()
