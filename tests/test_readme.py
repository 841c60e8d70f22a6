"""The README's Python is run as it stands."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from installing import FORCE

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


def test_codec() -> None:
    names: dict[str, object] = {}
    exec(EXAMPLES[0], names)
    assert names["reply"] == b"\x81\x0areceived 5"


def test_connection() -> None:
    names: dict[str, object] = {}
    exec(EXAMPLES[1], names)
    assert names["answer"] == b"\x8a\x00\x81\x07Gr\xc3\xbc\xc3\x9fe\x88\x02\x03\xe8"
    # What the comments say came out.
    source = EXAMPLES[1].replace(
        "client.receive_data(answer)  # [P", "last = client.receive_data(answer)  # [P"
    )
    exec(source, names)
    import wsfast

    assert names["last"] == [wsfast.Pong(), "Grüße", wsfast.Close(1000)]


def test_endpoints() -> None:
    names: dict[str, object] = {}
    exec(EXAMPLES[2], names)
    assert asyncio.run(names["main"]()) == "Grüße"  # type: ignore[operator]


def test_install() -> None:
    pytest.importorskip("websockets")
    names: dict[str, object] = {}
    try:
        import wsfast

        example = EXAMPLES[3].replace("install()", f"install(force={FORCE})")
        assert str(FORCE) in example
        exec("import wsfast\n" + example, names)

        assert "websockets" in wsfast.installed()
    finally:
        exec("wsfast.uninstall()", names)
