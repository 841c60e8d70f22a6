"""``python -m wsfast`` in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import wsfast

Done = subprocess.CompletedProcess[str]


def environment(**environ: str) -> dict[str, str]:
    path = [str(Path(wsfast.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    inherited = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "PYTHONSAFEPATH")}
    return {**inherited, "PYTHONPATH": os.pathsep.join(path), "PYTHONIOENCODING": "utf-8", **environ}


def call(*arguments: str, cwd: Path | None = None, stdin: str = "", **environ: str) -> Done:
    """Run ``python ARGUMENTS`` with this wsfast."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(**environ),
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def command(*arguments: str, cwd: Path | None = None, stdin: str = "", **environ: str) -> Done:
    """Run ``python -m wsfast ARGUMENTS``."""
    return call("-m", "wsfast", *arguments, cwd=cwd, stdin=stdin, **environ)
