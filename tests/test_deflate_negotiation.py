"""Negotiation of permessage-deflate (RFC 7692 §5, §7.1): offers, answers, and every wrong form of them."""

from __future__ import annotations

import copy
import itertools
import pickle

import pytest

from wsfast import HandshakeError
from wsfast.compression import Deflater, Inflater
from wsfast.deflate import Deflate, DeflateParameters

PMD = "permessage-deflate"
WIDE = Deflate(server_max_window_bits=15, client_max_window_bits=15)
FLAGS = ["server_no_context_takeover", "client_no_context_takeover"]
WINDOWS = ["server_max_window_bits", "client_max_window_bits"]

#: Values that are none, but for an empty one, which the grammar forbids.
WRONG_BITS = [
    "7",
    "16",
    "08",
    "015",
    "0x9",
    "+9",
    "-9",
    "9.0",
    "9e0",
    "0",
    "1" + "0" * 30,
    "abc",
    "15_",
    "9_",
]
#: What does not follow the grammar of RFC 6455 §9.1 at all.
MALFORMED = [
    "",
    ",",
    f"{PMD};",
    f"{PMD}; =9",
    f"{PMD}; server_max_window_bits=",
    f'{PMD}; server_max_window_bits=""',
    f'{PMD}; server_max_window_bits="10',
    f"{PMD}; server_max_window_bits=1@",
    f"{PMD}; server_max_window_bits=\u0669",
    f"{PMD} client_max_window_bits",
]
#: Parameters that are right for nobody.
WRONG = [
    "foo",
    "foo=1",
    "SERVER_NO_CONTEXT_TAKEOVER",
    *[f"{flag}={value}" for flag in FLAGS for value in ("1", "true", "8")],
    *[f"{flag}; {flag}" for flag in FLAGS],
    *[f"{window}={value}" for window in WINDOWS for value in WRONG_BITS],
    *[f'{window}="{value}"' for window in WINDOWS for value in ("7", "16", "08", "+9")],
    *[f"{window}=9; {window}=9" for window in WINDOWS],
    *[f"{window}=9; {window}=10" for window in WINDOWS],
    "client_max_window_bits=9; client_max_window_bits",
    "server_max_window_bits",
]


@pytest.mark.parametrize(
    ("options", "offer"),
    [
        (Deflate(), f"{PMD}; client_max_window_bits"),
        (WIDE, f"{PMD}; client_max_window_bits"),
        (Deflate(client_max_window_bits=8), f"{PMD}; client_max_window_bits=8"),
        (
            Deflate(server_max_window_bits=10),
            f"{PMD}; server_max_window_bits=10; client_max_window_bits",
        ),
        (
            Deflate(
                server_no_context_takeover=True,
                client_no_context_takeover=True,
                server_max_window_bits=8,
                client_max_window_bits=9,
            ),
            f"{PMD}; server_no_context_takeover; client_no_context_takeover;"
            " server_max_window_bits=8; client_max_window_bits=9",
        ),
    ],
)
def test_offer(options: Deflate, offer: str) -> None:
    assert options.offer() == offer


@pytest.mark.parametrize(
    ("options", "offer", "answer"),
    [
        (WIDE, "", ""),
        (WIDE, "client_max_window_bits", ""),
        (WIDE, "server_no_context_takeover", "server_no_context_takeover"),
        (WIDE, "client_no_context_takeover", "client_no_context_takeover"),
        (WIDE, "server_max_window_bits=15", "server_max_window_bits=15"),
        (WIDE, "server_max_window_bits=8", "server_max_window_bits=8"),
        (WIDE, 'server_max_window_bits="10"', "server_max_window_bits=10"),
        (WIDE, "client_max_window_bits=15", "client_max_window_bits=15"),
        (WIDE, "client_max_window_bits=8", "client_max_window_bits=8"),
        (
            WIDE,
            "client_max_window_bits=9; server_no_context_takeover; server_max_window_bits=11",
            "server_no_context_takeover; server_max_window_bits=11; client_max_window_bits=9",
        ),
        # What the server wants itself.
        (Deflate(), "", "server_max_window_bits=12"),
        (Deflate(), "client_max_window_bits", "server_max_window_bits=12; client_max_window_bits=12"),
        (
            Deflate(),
            "client_max_window_bits=15; server_max_window_bits=15",
            "server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            Deflate(),
            "client_max_window_bits=9; server_max_window_bits=10",
            "server_max_window_bits=10; client_max_window_bits=9",
        ),
        (Deflate(server_max_window_bits=8, client_max_window_bits=8), "", "server_max_window_bits=8"),
        (
            Deflate(
                server_no_context_takeover=True,
                client_no_context_takeover=True,
                server_max_window_bits=15,
                client_max_window_bits=9,
            ),
            "client_max_window_bits",
            "server_no_context_takeover; client_no_context_takeover; client_max_window_bits=9",
        ),
    ],
)
def test_answer(options: Deflate, offer: str, answer: str) -> None:
    agreed = options.accept([f"{PMD}; {offer}" if offer else PMD])
    assert agreed is not None
    assert str(agreed) == (f"{PMD}; {answer}" if answer else PMD)
    assert DeflateParameters.parse(str(agreed)) == agreed
    assert str(DeflateParameters.parse(str(agreed))) == str(agreed)


@pytest.mark.parametrize("wrong", WRONG)
def test_server_declines(wrong: str) -> None:
    assert WIDE.accept([f"{PMD}; {wrong}"]) is None
    assert WIDE.accept([f"{PMD}; client_no_context_takeover; {wrong}"]) is None


@pytest.mark.parametrize("wrong", WRONG)
def test_server_falls_back(wrong: str) -> None:
    for values in (
        [f"{PMD}; {wrong}, {PMD}; server_max_window_bits=9, {PMD}"],
        [f"{PMD}; {wrong}", f"{PMD}; server_max_window_bits=9", PMD],
        [f"x-foo, {PMD}; {wrong}", f"x-bar; a=b, {PMD}; server_max_window_bits=9, {PMD}"],
    ):
        assert str(WIDE.accept(values)) == f"{PMD}; server_max_window_bits=9"


@pytest.mark.parametrize("wrong", [*WRONG, "client_max_window_bits"])
def test_client_fails(wrong: str) -> None:
    for value in (f"{PMD}; {wrong}", f"{PMD}; server_no_context_takeover; {wrong}"):
        with pytest.raises(HandshakeError, match=r"RFC 7692 §7\.1"):
            WIDE.check_response([value])
        with pytest.raises(HandshakeError, match=r"RFC 7692 §7\.1"):
            DeflateParameters.parse(value)


@pytest.mark.parametrize("value", MALFORMED)
def test_malformed(value: str) -> None:
    for call in (WIDE.accept, WIDE.check_response, lambda values: DeflateParameters.parse(*values)):
        with pytest.raises(HandshakeError, match="RFC 6455") as caught:
            call([value])
        assert caught.value.status == 400
    with pytest.raises(HandshakeError):
        WIDE.accept([PMD + ", " + value if value.strip(",") else value])


def test_other_extensions() -> None:
    assert WIDE.accept([]) is None
    assert WIDE.accept(["x-webkit-deflate-frame, permessage-deflate2, Permessage-Deflate"]) is None
    assert WIDE.check_response([]) is None
    for value in ("x-foo", f"{PMD}, x-foo", f"x-foo; a=1, {PMD}", "Permessage-Deflate", "permessage-bzip2"):
        with pytest.raises(HandshakeError, match="was not offered"):
            WIDE.check_response([value])
    for values in ([f"{PMD}, {PMD}"], [PMD, PMD], [PMD, f"{PMD}; client_max_window_bits=9"]):
        with pytest.raises(HandshakeError, match="twice"):
            WIDE.check_response(values)


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (WIDE, ""),
        (WIDE, "server_no_context_takeover; client_no_context_takeover"),
        (WIDE, "server_max_window_bits=8; client_max_window_bits=8"),
        (WIDE, "server_max_window_bits=15; client_max_window_bits=15"),
        (WIDE, "client_max_window_bits=10; server_max_window_bits=9; client_no_context_takeover"),
        (Deflate(server_max_window_bits=10), "server_max_window_bits=10"),
        (Deflate(server_max_window_bits=10), "server_max_window_bits=8"),
        (Deflate(client_max_window_bits=10), ""),
        (Deflate(client_max_window_bits=10), "client_max_window_bits=9"),
        (Deflate(client_no_context_takeover=True), ""),
        (Deflate(server_no_context_takeover=True), "server_no_context_takeover"),
    ],
)
def test_client_takes(options: Deflate, answer: str) -> None:
    agreed = options.check_response([f"{PMD}; {answer}" if answer else PMD])
    assert agreed is not None
    for flag in FLAGS:
        assert getattr(agreed, flag) is (flag in answer)
    for window in WINDOWS:
        said = [part.partition("=")[2] for part in answer.split("; ") if part.startswith(window)]
        assert getattr(agreed, window) == int(said[0] if said else 15)


@pytest.mark.parametrize(
    ("options", "answer", "match"),
    [
        (Deflate(server_no_context_takeover=True), "", "without the server_no_context_takeover"),
        (Deflate(server_max_window_bits=10), "", "without the server_max_window_bits"),
        (Deflate(server_max_window_bits=10), "server_max_window_bits=11", "=11 to an offer of 10"),
        (Deflate(client_max_window_bits=10), "client_max_window_bits=11", "=11 to an offer of 10"),
    ],
)
def test_client_wants_what_it_offered(options: Deflate, answer: str, match: str) -> None:
    with pytest.raises(HandshakeError, match=match):
        options.check_response([f"{PMD}; {answer}" if answer else PMD])


def test_both_sides_agree() -> None:
    """Whatever both want: the client takes the server's answer, and both do what either has asked for."""
    flags = (False, True)
    wishes = [
        Deflate(
            server_no_context_takeover=server,
            client_no_context_takeover=client,
            server_max_window_bits=server_bits,
            client_max_window_bits=client_bits,
        )
        for server, client in itertools.product(flags, flags)
        for server_bits, client_bits in itertools.product((None, 8, 11, 15), (None, 8, 11, 15))
    ]
    for client, server in itertools.product(wishes, wishes):
        agreed = server.accept([client.offer()])
        assert agreed is not None
        assert client.check_response([str(agreed)]) == agreed
        for flag in FLAGS:
            assert getattr(agreed, flag) == (getattr(client, flag) or getattr(server, flag))
        for window in WINDOWS:
            wanted = min(getattr(client, window) or 15, getattr(server, window) or 12)
            assert getattr(agreed, window) == wanted


def test_against_websockets() -> None:
    """The same offers and answers as the negotiation of websockets, where it can do what is asked."""
    deflate = pytest.importorskip("websockets.extensions.permessage_deflate", reason="needs websockets")
    headers = pytest.importorskip("websockets.headers", reason="needs websockets")
    compared = 0
    parameters = [["", flag] for flag in FLAGS]
    parameters += [["", *[f"{window}={bits}" for bits in range(8, 16)]] for window in WINDOWS]
    parameters[3].append("client_max_window_bits")
    for chosen in itertools.product(*parameters):
        offer = "; ".join([PMD, *filter(None, chosen)])
        mine = WIDE.accept([offer])
        assert mine is not None
        [(_, pairs)] = headers.parse_extension(offer)
        if "server_max_window_bits=8" not in offer:
            theirs, _ = deflate.ServerPerMessageDeflateFactory().process_request_params(pairs, [])
            assert str(mine) == headers.build_extension([(PMD, theirs)])
            compared += 1
        # websockets' client offers nothing but client_max_window_bits, and can do 9 bits at least.
        if mine.client_max_window_bits > 8:
            client = deflate.ClientPerMessageDeflateFactory()
            [(_, answer)] = headers.parse_extension(str(mine))
            extension = client.process_response_params(answer, [])
            assert extension.remote_no_context_takeover == mine.server_no_context_takeover
            assert extension.local_no_context_takeover == mine.client_no_context_takeover
            assert extension.remote_max_window_bits == mine.server_max_window_bits
            assert extension.local_max_window_bits == mine.client_max_window_bits
            compared += 1
    assert compared == 320 + 324  # of 360 offers


@pytest.mark.parametrize("role", ["client", "server"])
def test_who_does_what(role: str) -> None:
    agreed = DeflateParameters(
        server_no_context_takeover=True, server_max_window_bits=10, client_max_window_bits=13
    )
    inflater, deflater = agreed.inflater(role), agreed.deflater(role, WIDE)
    assert isinstance(inflater, Inflater)
    assert isinstance(deflater, Deflater)
    assert deflater.threshold == 128
    there, back = b"there and back again, " * 3, b"here " * 20
    sent = [deflater(there), deflater(there)]
    # The server starts anew with each message: both are the same.
    assert (sent[0] == sent[1]) is (role == "server")
    other = agreed.inflater("client" if role == "server" else "server")
    assert [other(data, True, 1000) for data in sent] == [there, there]
    answer = agreed.deflater("client" if role == "server" else "server", WIDE)(back)
    assert inflater(answer, True, 1000) == back


def test_own_wishes_hold_where_more_is_agreed() -> None:
    own = Deflate(client_no_context_takeover=True, client_max_window_bits=9, threshold=5)
    agreed = own.check_response([PMD])
    assert agreed == DeflateParameters()
    deflater = agreed.deflater("client", own)
    assert deflater(b"abc" * 9) == deflater(b"abc" * 9)
    assert deflater.parameters[1] == 9
    assert deflater.threshold == 5


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"level": "6"}, TypeError, "^level must be an int or None, not str$"),
        ({"level": 10}, ValueError, "^level must be between 0 and 9 or None, not 10$"),
        ({"level": -1}, ValueError, "^level must be between 0 and 9 or None, not -1$"),
        ({"mem_level": 0}, ValueError, "^mem_level must be between 1 and 9 or None, not 0$"),
        ({"mem_level": 10}, ValueError, "^mem_level must be between 1 and 9 or None, not 10$"),
        ({"mem_level": True}, TypeError, "^mem_level must be an int or None, not bool$"),
        ({"threshold": -1}, ValueError, "^threshold must be 0 or more, not -1$"),
        ({"threshold": None}, TypeError, "^threshold must be an int, not NoneType$"),
        (
            {"server_no_context_takeover": 1},
            TypeError,
            "^server_no_context_takeover must be a bool, not int$",
        ),
        ({"client_no_context_takeover": None}, TypeError, "^client_no_context_takeover must be a bool"),
        (
            {"server_max_window_bits": 7},
            ValueError,
            "^server_max_window_bits must be between 8 and 15 or None",
        ),
        (
            {"client_max_window_bits": 16},
            ValueError,
            "^client_max_window_bits must be between 8 and 15 or None",
        ),
        (
            {"client_max_window_bits": "9"},
            TypeError,
            "^client_max_window_bits must be an int or None, not str",
        ),
        (
            {"server_max_window_bits": 9.0},
            TypeError,
            "^server_max_window_bits must be an int or None, not float",
        ),
    ],
)
def test_bad_options(options: dict[str, object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Deflate(**options)  # type: ignore[arg-type]


def test_bad_parameters() -> None:
    with pytest.raises(TypeError, match=r"^server_max_window_bits must be an int, not NoneType$"):
        DeflateParameters(server_max_window_bits=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^client_max_window_bits must be between 8 and 15, not 7$"):
        DeflateParameters(client_max_window_bits=7)


def test_values() -> None:
    """Options and parameters are immutable values."""
    for value in (Deflate(level=3), DeflateParameters(client_max_window_bits=9)):
        assert copy.deepcopy(value) == value
        assert pickle.loads(pickle.dumps(value)) == value
        assert hash(copy.copy(value)) == hash(value)
        with pytest.raises(AttributeError):
            value.client_max_window_bits = 15  # type: ignore[misc]
    assert str(DeflateParameters(server_no_context_takeover=True, client_max_window_bits=9)) == (
        f"{PMD}; server_no_context_takeover; client_max_window_bits=9"
    )
    # What was said explicitly is not part of the value.
    assert DeflateParameters.parse(f"{PMD}; server_max_window_bits=15") == DeflateParameters.parse(PMD)
