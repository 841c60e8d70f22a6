"""The corpus against wsfast.Connection, on both backends, whole and cut everywhere."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wsfast

# Nor is this folder a package.
sys.path.insert(0, str(Path(__file__).parent))

import corpus
from corpus import Case, load, parse_extensions, split_head
from notation import NAMES, Assembler, Event, Local, accept_value, frames, payload

CASES = load()

#: Cases in which wsfast does otherwise, and why.
OPEN: dict[str, str] = {}


# ---- The data itself -------------------------------------------------------------------------------


def test_size() -> None:
    assert len(list(corpus.entries(CASES))) >= 700


@pytest.mark.parametrize("rule", corpus.RULES)
def test_rules_are_covered(rule: str) -> None:
    """By several cases each, of which one at least is to succeed and, but for a few, one to fail."""
    about = [case for case in corpus.entries(CASES) if rule in case.rules]
    assert len(about) >= 3
    fails = [
        case
        for case in about
        if case.expect == "reject" or (case.end is not None and case.end.kind == "fail")
    ]
    assert len(fails) < len(about)
    # Nothing that a peer does breaks these.
    assert fails or rule in ("F7", "F15", "F16", "F18", "D8", "D9")


def test_ids_are_unique() -> None:
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("area", sorted({case.area for case in CASES}))
def test_every_case_can_be_read(area: str) -> None:
    for case in CASES:
        if case.area == area:
            assert case.script is not None
            assert all(event.kind not in ("close", "fail", "lost") for event in case.events[:-1]), case.id
            assert all(event.payload.decode() is not None for event in case.events if event.kind == "text")
            assert case.sends is not None
            assert not case.is_handshake or isinstance(case.head("x" * 24), bytes)


def test_the_notation_reproduces_the_examples_of_the_rfcs() -> None:
    hello = "81 85 37 fa 21 3d 7f 9f 4d 51 58"
    assert frames('text "Hello"', "server") == bytes.fromhex(hello)  # RFC 6455 §5.7
    for text, expected in (  # RFC 7692 §7.2.3
        ('z[fixed "Hello"]', "f2 48 cd c9 c9 07 00"),
        ('z[fixed "H" copy 4 5]', "f2 00 11 00 00"),
        ('z[stored "Hello"]', "00 05 00 fa ff 48 65 6c 6c 6f 00"),
        ('z[final fixed "Hello"]', "f3 48 cd c9 c9 07 00 00"),
        ('z[fixed "He" stored "" fixed "llo"]', "f2 48 05 00 00 00 ff ff ca c9 c9 07 00"),
        ("z[]", "00"),
    ):
        assert payload(text) == bytes.fromhex(expected)
    assert accept_value("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 §1.3


# ---- Running a case --------------------------------------------------------------------------------


class Run:
    """One run of a case: events, answers and what went out, in the notation's terms."""

    def __init__(self, connection: Any, *, buffered: bool) -> None:
        self.connection = connection
        self.buffered = buffered
        self.events: list[Event] = []
        self.heads: list[Any] = []
        self.answer = b""
        self.out = bytearray()

    def receive(self, data: bytes) -> None:
        if not self.buffered:
            self.take(self.connection.receive_data(data))
            return
        while data:
            buffer = self.connection.get_buffer(-1)
            n = min(len(buffer), len(data))
            buffer[:n] = data[:n]
            del buffer
            self.take(self.connection.buffer_updated(n))
            data = data[n:]

    def take(self, happened: list[Any]) -> None:
        connection = self.connection
        for event in happened:
            if isinstance(event, (wsfast.Request, wsfast.Response, wsfast.Rejected)):
                self.heads.append(event)
            else:
                self.events.append(translated(event))
        if happened and isinstance(happened[-1], wsfast.Request):
            self.answer = connection.accept()
            self.take(connection.receive_data(b""))
        self.out += connection.data_to_send()

    def act(self, what: Local) -> None:
        connection = self.connection
        if what.kind == "close":
            self.out += connection.close(what.code, what.payload.decode())
        elif what.kind == "text":
            self.out += connection.send_text(what.payload.decode(), what.fin)
        elif what.kind == "binary":
            self.out += connection.send_binary(what.payload, what.fin)
        else:
            self.out += getattr(connection, what.kind)(what.payload)


def translated(event: Any) -> Event:
    if type(event) is str:
        return Event("text", event.encode())
    if type(event) is bytes:
        return Event("binary", event)
    if isinstance(event, wsfast.Ping):
        return Event("ping", event.payload)
    if isinstance(event, wsfast.Pong):
        return Event("pong", event.payload)
    assert isinstance(event, wsfast.Close)
    if event.error is not None:
        assert event.reason and event.code == event.error.code
        return Event("fail", b"", event.code)
    if event.code == 1006:
        return Event("lost", b"", 1006)
    return Event("close", event.reason.encode(), event.code)


def connection_for(case: Case, connection_class: Any) -> Any:
    options = dict(case.options or {})
    if not case.is_handshake:
        compression = wsfast.Deflate(threshold=0) if case.deflate else None
        return connection_class.established(
            case.role, extensions=case.deflate or "", compression=compression, max_size=case.limit
        )
    compression_options = options.pop("compression", {})
    options["compression"] = None if compression_options is False else wsfast.Deflate(**compression_options)
    options.setdefault("subprotocols", corpus.SUBPROTOCOLS)
    if case.role == "client":
        return connection_class("client", options.pop("uri", "ws://server.example.com/chat"), **options)
    return connection_class("server", **options)


def cuts(script: list[bytes | Local | None]) -> Iterator[list[bytes | Local | None]]:
    """The script whole, in single bytes, and with one of its pieces cut in two at every place."""
    yield script
    bytewise: list[bytes | Local | None] = []
    for piece in script:
        if isinstance(piece, bytes):
            # Long streams: all of the start, where the headers are, and then larger steps.
            step = 1 if len(piece) <= 1000 else len(piece) // 500
            head = piece[:64]
            bytewise += [head[i : i + 1] for i in range(len(head))]
            bytewise += [piece[i : i + step] for i in range(64, len(piece), step)]
        else:
            bytewise.append(piece)
    yield bytewise
    for at, piece in enumerate(script):
        if isinstance(piece, bytes):
            n = len(piece)
            places = range(1, n) if n <= 300 else range(1, n, max(1, n // (200 if n < 5000 else 20)))
            for place in places:
                yield [*script[:at], piece[:place], piece[place:], *script[at + 1 :]]


# ---- Judging it ------------------------------------------------------------------------------------


def check_sent(case: Case, out: bytes) -> None:
    """Compare what went out. Of several pongs, only the newest is a must (RFC 6455 §5.5.3)."""
    agreed = dict(parse_extensions(case.deflate)[0][1]) if case.deflate else None
    window = None if agreed is None else int(agreed.get(f"{case.role}_max_window_bits") or 15)
    takeover = agreed is None or f"{case.role}_no_context_takeover" not in agreed
    sent = Assembler(case.role, window=window, takeover=takeover)
    found = list(sent.feed(out))
    assert not sent.faults
    assert not sent.reader.buffer
    assert sent.first is None or not case.sends
    wanted = case.sends
    plain = [
        (event.kind, event.code, event.payload) for event in found if event.kind not in ("pong", "close")
    ]
    assert plain == [(e.kind, e.code, e.payload) for e in wanted if e.kind not in ("pong", "close")]
    assert [e.code for e in found if e.kind == "close"] == [e.code for e in wanted if e.kind == "close"]
    pongs = [event.payload for event in found if event.kind == "pong"]
    asked = [event.payload for event in wanted if event.kind == "pong"]
    rest = iter(asked)
    assert all(pong in rest for pong in pongs)
    assert pongs[-1:] == asked[-1:]
    if case.frames:
        shape = [NAMES[f.opcode] + ("" if f.fin else " part") for f in sent.frames if f.opcode < 8]
        assert shape == case.frames
    if case.role == "client":
        keys = [frame.key for frame in sent.frames]
        assert len(set(keys)) == len(keys)


def check_end(case: Case, run: Run) -> None:
    """The state, the close code and whose turn it is to close TCP; and that nothing comes after the end."""
    connection = run.connection
    end = case.end
    over = None in case.script
    if end is None:
        closing = any(isinstance(step, Local) and step.kind == "close" for step in case.script)
        assert connection.state is (wsfast.State.CLOSING if closing else wsfast.State.OPEN)
        assert connection.close_code is None
        assert not connection.should_close
    else:
        assert connection.state is (wsfast.State.CLOSED if over else wsfast.State.CLOSING)
        assert connection.close_code == (end.code if end.kind == "close" else 1006)
        if not over:
            assert connection.should_close is (end.kind == "fail" or case.role == "server")
    assert (connection.error is not None) is (end is not None and end.kind == "fail")
    before = list(run.events)
    run.receive(b"\x81\x80\0\0\0\0\x81\0" if end is not None else b"")
    run.take(connection.receive_eof())
    assert connection.state is wsfast.State.CLOSED
    assert run.events == (before if end is not None else [*before, Event("lost", b"", 1006)])


def check_request(case: Case, data: bytes) -> str:
    """What a client asks for; returns its key."""
    first, fields, rest = split_head(data)
    assert not rest
    lines = [first, *(f"{name}: {value}" for name, value in fields)]
    for line in case.sent or []:
        name, colon, value = line.partition(":")
        wanted = f"{name.lower()}{colon}{value}" if colon and not line.startswith("GET") else line
        assert lines.count(wanted) == 1, lines
    values = dict(fields)
    assert len(values) == len(fields)
    key = values["sec-websocket-key"]
    assert len(base64.b64decode(key, validate=True)) == 16
    return key


def check_response(case: Case, data: bytes) -> None:
    """What a server answers."""
    first, fields, rest = split_head(data)
    status = int(first.split(" ")[1])
    assert first.startswith("HTTP/1.1 ")
    lines = [f"{name}: {value}" for name, value in fields]
    for line in case.response or []:
        name, _, value = line.partition(":")
        assert f"{name.lower()}:{value}" in lines
    if case.response_any:
        assert any(f"{n.lower()}:{v}" in lines for n, _, v in (li.partition(":") for li in case.response_any))
    for name in case.absent or []:
        assert name.lower() not in dict(fields)
    agreed = [value for name, value in fields if name == "sec-websocket-extensions"]
    if case.expect == "accept":
        assert status == 101
        assert not rest
        key = next(
            li for li in [*(case.set or []), *corpus.REQUEST] if li.lower().startswith("sec-websocket-key:")
        )
        assert dict(fields)["sec-websocket-accept"] == accept_value(key.partition(":")[2].strip())
        assert bool(agreed) is bool(case.agreed) or case.agreed == "either"
        if agreed:
            assert len(agreed) == 1
            assert corpus.agreement_fault(case.offers, agreed[0]) == ""
            for parameter in case.agreed_with or []:
                assert parameter in agreed[0].split("; ")
    else:
        assert status in case.status
        assert not agreed
        assert "close" in dict(fields)["connection"].split(", ")
        if (case.line or "").startswith("HEAD "):
            assert not rest  # RFC 9110 §9.3.2
        else:
            assert len(rest) == int(dict(fields)["content-length"])


def check_handshake(case: Case, run: Run) -> None:
    connection = run.connection
    head = run.heads[-1] if run.heads else None
    assert len(run.heads) == 1
    if case.expect == "reject":
        assert isinstance(head, wsfast.Rejected)
        assert not run.events
        assert connection.should_close or connection.state is wsfast.State.CLOSED
        if case.role == "server":
            if not case.eof:
                assert head.status in case.status
                check_response(case, bytes(run.out))
        elif case.status:
            assert head.status in case.status
            assert head.body.decode() == (case.body or "")
        else:
            assert isinstance(head.error, wsfast.HandshakeError)
        return
    if case.role == "server":
        assert isinstance(head, wsfast.Request)
        check_response(case, run.answer)
        for name, value in (case.request or {}).items():
            found = getattr(head, name)
            assert (list(found) if isinstance(value, list) else found) == value
    else:
        assert isinstance(head, wsfast.Response)
        for name, value in (case.response or {}).items():
            found = getattr(head, name)
            assert (list(found) if isinstance(value, list) else found) == value


def parameter(case: Case) -> Any:
    marks = [pytest.mark.xfail(reason=OPEN[case.id], strict=True)] if case.id in OPEN else []
    return pytest.param(case, id=case.id, marks=marks)


@pytest.mark.parametrize("case", [parameter(case) for case in CASES])
def test_case(backend: Any, case: Case) -> None:
    connection_class = backend.Connection
    behind = b""
    # A client's key differs from run to run, and with it the response; not its length.
    script = case.script
    if case.is_handshake:
        if script and isinstance(script[0], bytes):
            behind = script[0]
        script = [case.head("x" * 24) + behind, *([None] if case.eof else [])]
    for index, pieces in enumerate(cuts(script)):
        # Both ways in: always where it is likely to matter, else in turn.
        for buffered in (False, True) if index < 2 or len(script) > 1 else (index % 3 == 0,):
            run = Run(connection_for(case, connection_class), buffered=buffered)
            stream = None
            if case.is_handshake and case.role == "client":
                key = check_request(case, run.connection.data_to_send())
                stream = case.head(key) + behind
            at = 0
            for piece in pieces:
                if piece is None:
                    run.take(run.connection.receive_eof())
                elif isinstance(piece, Local):
                    run.act(piece)
                else:
                    run.receive(stream[at : at + len(piece)] if stream is not None else piece)
                    at += len(piece)
            try:
                if case.is_handshake:
                    check_handshake(case, run)
                if not case.is_handshake or case.expect == "accept":
                    assert run.events == case.events
                    if not case.is_handshake:
                        check_sent(case, bytes(run.out))
                        check_end(case, run)
            except AssertionError as error:
                shape = [len(p) if isinstance(p, bytes) else p for p in pieces][:20]
                where = f"{case.title}; run {index}, buffered={buffered}, pieces of {shape}"
                raise AssertionError(f"{where}\n{error}") from error
