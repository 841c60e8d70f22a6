"""Events: small objects that are set up once."""

from __future__ import annotations

import pytest
from implementations import Implementation

from wsfast import Close, Ping


def test_fields_are_set_once(backend: Implementation) -> None:
    event = Close.__new__(Close)
    backend.module.set_fields(event, (1000, "bye", None))
    assert event == Close(1000, "bye")
    with pytest.raises(AttributeError, match=r"^Close is read-only: cannot set 'code'$"):
        event.code = 1001
    with pytest.raises(AttributeError, match=r"^Close is read-only: cannot delete 'code'$"):
        del event.code


@pytest.mark.parametrize("values", [(), (b"a", b"b")])
def test_as_many_as_there_are(backend: Implementation, values: tuple[bytes, ...]) -> None:
    event = Ping.__new__(Ping)
    with pytest.raises(ValueError, match=r"^an event has one value for each field$"):
        backend.module.set_fields(event, values)
    with pytest.raises(AttributeError):
        assert event.payload
