"""install(), as tests call it."""

from __future__ import annotations

from typing import Any

import wsfast

# Without its compiled backend wsfast has to be told that it is wanted all the same.
FORCE = wsfast.backend == "python"


def install(*hosts: str, **options: Any) -> Any:
    return wsfast.install(*hosts, **{"force": FORCE, **options})
