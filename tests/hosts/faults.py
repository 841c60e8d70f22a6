"""Put known faults to libraries as they are, with wsfast, and with it and strict; make docs/hosts/faults.md.

examples:
  python tests/hosts/faults.py                        every library that is installed and has an adapter
  python tests/hosts/faults.py aiohttp tornado        these
  python tests/hosts/faults.py --write                and write docs/hosts/faults.md

Each library runs as the echo program of tests/conformance/echo_programs.py, started by itself, by
``python -m wsfast run --hosts ...``, and by that with ``--strict``. Every fault is put to it over a socket of
its own. Memory is what the process grows by at its peak, as Linux tells it.

The exit status is 1 if a library is worse with wsfast than without, or if wsfast does not mend what it is
said to mend.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import wsfast
from wsfast import Connection, FrameDecoder, Opcode, encode_frame
from wsfast.adapters import HOSTS

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "conformance"))

from echo_programs import NO_CLIENT

PROGRAMS = ROOT / "tests" / "conformance" / "echo_programs.py"
PAGE = ROOT / "docs" / "hosts" / "faults.md"
MIB = 1 << 20
PATIENCE = 3.0

# Of each echo program: what install() is given, and the packages that it needs.
LIBRARIES = {
    "websockets": ("websockets", ["websockets"]),
    "uvicorn": ("uvicorn", ["uvicorn", "websockets"]),
    "uvicorn-wsproto": ("wsproto", ["uvicorn", "wsproto"]),
    "wsproto": ("wsproto", ["wsproto"]),
    "aiohttp": ("aiohttp", ["aiohttp"]),
    "tornado": ("tornado", ["tornado"]),
    "autobahn": ("autobahn", ["autobahn"]),
}
VARIANTS = ("before", "after", "strict")


class Outcome(NamedTuple):
    right: bool | None
    text: str


RIGHT = Outcome(True, "right")
NOT_APPLICABLE = Outcome(None, "-")


# ---- Programs and connections ----------------------------------------------------------------------


def command(library: str, variant: str, program: list[str]) -> list[str]:
    if variant == "before":
        return [sys.executable, *program]
    strict = ["--strict"] if variant == "strict" else []
    host = library if library in HOSTS else LIBRARIES[library][0]
    return [sys.executable, "-m", "wsfast", "run", "--hosts", host, *strict, *program]


@contextlib.contextmanager
def running(library: str, variant: str, program: list[str]) -> Iterator[subprocess.Popen[str]]:
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        command(library, variant, program),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONWARNINGS": "ignore"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Link:
    """A client's connection to an echo server."""

    def __init__(self, port: int, deflate: bool) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        # Its own limits and strictness must not be in the way: it makes the handshake, no more.
        handshake = Connection(
            "client", f"ws://127.0.0.1:{port}/", compression=wsfast.Deflate() if deflate else None
        )
        self.socket.sendall(handshake.data_to_send())
        while handshake.state is wsfast.State.CONNECTING:
            handshake.receive_data(self.socket.recv(65536))
        self.deflate = handshake.deflate is not None
        self.decoder = FrameDecoder("client", max_size=None, rsv1=True)
        self.frames: list[wsfast.Frame] = []
        self.ended = False

    def send(self, *data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(b"".join(data))

    def until(self, count: int, patience: float = PATIENCE) -> list[wsfast.Frame]:
        """Read until so many frames are there, a close frame, the end, or for as long as patience lasts."""
        deadline = time.monotonic() + patience
        while not self.ended and len(self.frames) < count and (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(1 << 18)
            except TimeoutError:
                break
            except ConnectionError:
                data = b""
            self.ended = not data
            self.frames += self.decoder.feed(data)
            if any(frame.opcode == Opcode.CLOSE for frame in self.frames):
                break
        return self.frames

    def close(self) -> None:
        self.socket.close()

    @property
    def close_code(self) -> int | None:
        """The code of the close frame that came, 1005 for none in it; None if none came."""
        for frame in self.frames:
            if frame.opcode == Opcode.CLOSE:
                return int.from_bytes(frame.payload[:2], "big") if frame.payload else 1005
        return None

    def texts(self) -> list[str]:
        """The messages that came, inflated; one that is not text as its repr()."""
        inflate = zlib.decompressobj(-15)
        found = []
        for frame in self.frames:
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                data = frame.payload
                if frame.rsv1:
                    data = inflate.decompress(data + b"\0\0\xff\xff")
                try:
                    found.append(data.decode())
                except UnicodeDecodeError:
                    found.append(repr(data))
        return found


Connect = Callable[[bool], Link]


def deflated(text: str, final: bool = False) -> bytes:
    """A message compressed by itself, in a block that is marked as the last one or not."""
    compressor = zlib.compressobj(wbits=-15)
    data = compressor.compress(text.encode())
    if final:
        return data + compressor.flush(zlib.Z_FINISH) + b"\0"  # RFC 7692 §7.2.3.4
    return (data + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def refused(link: Link, *codes: int) -> Outcome:
    """Judge what came back of something that has to be refused."""
    link.until(1)
    if texts := link.texts():
        return Outcome(False, f"echoed {texts[0]!r}"[:24])
    if link.close_code is not None:
        return RIGHT if link.close_code in codes else Outcome(False, f"close {link.close_code}")
    if any(frame.opcode == Opcode.PONG for frame in link.frames):
        return Outcome(False, "answered")
    return RIGHT if link.ended else Outcome(False, "no answer")


# ---- The faults ------------------------------------------------------------------------------------


def after_final_block(connect: Connect, process: int) -> Outcome:
    link = connect(True)
    if not link.deflate:
        return NOT_APPLICABLE
    for text, final in (("first", True), ("second", False)):
        link.send(encode_frame(Opcode.TEXT, deflated(text, final), rsv1=True, mask=True))
    link.until(2)
    found = link.texts()
    return RIGHT if found == ["first", "second"] else Outcome(False, f"got {found}")


def ping_in_compressed(connect: Connect, process: int) -> Outcome:
    link = connect(True)
    if not link.deflate:
        return NOT_APPLICABLE
    data = deflated("compressed text " * 20)
    link.send(
        encode_frame(Opcode.TEXT, data[:9], fin=False, rsv1=True, mask=True),
        encode_frame(Opcode.PING, b"", mask=True),
        encode_frame(Opcode.CONTINUATION, data[9:], mask=True),
    )
    link.until(2)
    found = link.texts()
    if found == ["compressed text " * 20]:
        return RIGHT
    return Outcome(False, "damaged" if found else f"close {link.close_code}")


def unmasked(connect: Connect, process: int) -> Outcome:
    link = connect(False)
    link.send(encode_frame(Opcode.TEXT, b"unmasked"))
    return refused(link, 1002)


def long_length(connect: Connect, process: int) -> Outcome:
    link = connect(False)
    link.send(b"\x81\xfe\x00\x02\0\0\0\0hi")
    return refused(link, 1002)


def rsv_bits(connect: Connect, process: int) -> Outcome:
    link = connect(False)
    link.send(b"\xa1\x82\0\0\0\0hi")
    return refused(link, 1002)


def compressed_ping(connect: Connect, process: int) -> Outcome:
    link = connect(True)
    link.send(b"\xc9\x80\0\0\0\0")
    return refused(link, 1002)


def wrong_close_codes(connect: Connect, process: int) -> Outcome:
    wrong = []
    for code in (1005, 1006, 2000, 5000):
        link = connect(False)
        link.send(encode_frame(Opcode.CLOSE, code.to_bytes(2, "big"), mask=True))
        if not refused(link, 1002).right:
            wrong.append(str(code))
        link.close()
    return Outcome(False, f"takes {', '.join(wrong)}") if wrong else RIGHT


def registered_close_code(connect: Connect, process: int) -> Outcome:
    link = connect(False)
    link.send(encode_frame(Opcode.CLOSE, (1014).to_bytes(2, "big"), mask=True))
    link.until(1)
    return RIGHT if link.close_code in (1014, 1000, 1005) else Outcome(False, f"close {link.close_code}")


def early_utf8(connect: Connect, process: int) -> Outcome:
    link = connect(False)
    link.send(encode_frame(Opcode.TEXT, b"ab\xff" + bytes(1000), mask=True)[:100])
    link.until(1, 1.5)
    if link.close_code == 1007 or (link.ended and link.close_code is None):
        return RIGHT
    return Outcome(False, "waits" if link.close_code is None else f"close {link.close_code}")


def memory(process: int, name: str) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


@contextlib.contextmanager
def growing(process: int) -> Iterator[list[int]]:
    """What the process has grown by, at most, is in the list afterwards."""
    Path(f"/proc/{process}/clear_refs").write_text("5")
    before = memory(process, "VmRSS")
    grown: list[int] = []
    yield grown
    grown.append(memory(process, "VmHWM") - before)


def judged(grown: int, limit: int) -> Outcome:
    return Outcome(grown <= limit, f"+{max(grown, 0) / 1e6:.1f} MB")


def fragments(connect: Connect, process: int) -> Outcome:
    link = connect(False)
    middle = encode_frame(Opcode.CONTINUATION, b"x", fin=False, mask=True)
    with growing(process) as grown:
        link.send(encode_frame(Opcode.TEXT, b"x", fin=False, mask=True))
        for _ in range(100):
            link.send(middle * 10_000)
        link.send(encode_frame(Opcode.PING, b"end", mask=True))
        link.until(1, 120)
    if not link.frames and not link.ended:
        return Outcome(False, "no answer")
    return judged(grown[0], 8 * MIB)


def pings(connect: Connect, process: int) -> Outcome:
    """Until the server stops reading, or 200,000."""
    link = connect(False)
    link.socket.settimeout(3)
    block = encode_frame(Opcode.PING, bytes(125), mask=True) * 500
    with growing(process) as grown:
        for _ in range(400):
            try:
                link.socket.sendall(block)
            except (TimeoutError, ConnectionError):
                break
        time.sleep(0.5)
    return judged(grown[0], 8 * MIB)


def bomb(connect: Connect, process: int) -> Outcome:
    link = connect(True)
    if not link.deflate:
        return NOT_APPLICABLE
    compressor = zlib.compressobj(9, wbits=-15)
    data = b"".join(compressor.compress(bytes(MIB)) for _ in range(200))
    data += compressor.flush(zlib.Z_SYNC_FLUSH)
    with growing(process) as grown:
        link.send(encode_frame(Opcode.BINARY, data[:-4], rsv1=True, mask=True))
        link.until(1, 10)
    if link.close_code != 1009 and not link.ended:
        return Outcome(False, f"close {link.close_code}")
    return judged(grown[0], 8 * MIB)


KEYS = "mask keys cannot be predicted (RFC 6455 §5.3)"
# The words of a Mersenne Twister's state.
TWISTER = 624
PINGS = "200,000 pings whose answers nobody reads: memory"
BOMB = "200 MB of zeros, compressed, limit 1 MiB: memory"


class Fault(NamedTuple):
    title: str
    try_it: Callable[[Connect, int], Outcome]
    #: Whether it is mended only by ``strict``, as a library may have its reasons to be lax.
    laxity: bool = False
    #: Whether the RFC leaves it open.
    optional: bool = False


#: What is not mended, and why.
REMAINS = {
    (
        "uvicorn-wsproto",
        PINGS,
    ): "wsproto tells of pings and has no part in the answers: the server writes them",
    ("wsproto", PINGS): "the same; here it is the echo program",
    ("uvicorn-wsproto", BOMB): "wsproto has no limit on messages; the server's applies to what it is told",
    ("wsproto", BOMB): "wsproto has no limit on messages",
}

FAULTS = [
    Fault("messages after a final DEFLATE block arrive (RFC 7692 §7.2.3.4)", after_final_block),
    Fault("a ping within a compressed message leaves it whole (RFC 6455 §5.4)", ping_in_compressed),
    Fault("10⁶ fragments of a byte, one message: memory", fragments),
    Fault(PINGS, pings),
    Fault(BOMB, bomb),
    Fault("wrong UTF-8 is refused before the frame ends (RFC 6455 §8.1: may)", early_utf8, optional=True),
    Fault("a client's unmasked frame is refused (§5.1)", unmasked, True),
    Fault("a length not in its shortest form is refused (§5.2)", long_length, True),
    Fault("RSV2 is refused (§5.2)", rsv_bits, True),
    Fault("a ping with RSV1 is refused (RFC 7692 §6.1)", compressed_ping, True),
    Fault("close codes that may not be sent are refused (§7.4)", wrong_close_codes, True),
    Fault("close code 1014 is taken (IANA registry)", registered_close_code, True),
]

_SEEDED = """\
import random, runpy, sys
random.seed(1)
sys.argv = [{path!r}, {library!r}, "client"]
sys.path.insert(0, {folder!r})
runpy.run_path({path!r}, run_name="__main__")
"""


def keys(library: str, variant: str) -> list[bytes]:
    """The mask keys of a client whose ``random`` module was seeded: enough to predict the next."""
    code = _SEEDED.format(path=str(PROGRAMS), folder=str(PROGRAMS.parent), library=library)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        with running(library, variant, ["-c", code]) as process:
            process.stdin.write(f"ws://127.0.0.1:{listening.getsockname()[1]}/\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            connected = listening.accept()[0]
            connected.settimeout(10)
            server = Connection("server", origins=None)
            found = []
            with connected:
                while server.state is wsfast.State.CONNECTING:
                    for event in server.receive_data(connected.recv(65536)):
                        if isinstance(event, wsfast.Request):
                            connected.sendall(server.accept())
                for _ in range(TWISTER + 1):
                    connected.sendall(server.send_text("x"))
                    echo = connected.recv(65536)
                    if echo[:2] != b"\x81\x81":
                        raise ConnectionError(f"{library} does not echo: {echo!r}")
                    found.append(echo[2:6])
            return found


def predictable_keys(library: str, variant: str) -> Outcome:
    if library in NO_CLIENT:
        return NOT_APPLICABLE
    found = keys(library, variant)
    if found == keys(library, variant) or is_twisters(found):
        return Outcome(False, "predictable")
    return RIGHT


def is_twisters(found: list[bytes]) -> bool:
    """Tell whether the last of some keys can be computed from those before: each has 32 bits of the state."""
    for order in ("big", "little"):
        numbers = [int.from_bytes(key, order) for key in found]
        generator = random.Random()
        generator.setstate((3, (*map(untempered, numbers[:TWISTER]), TWISTER), None))
        if generator.getrandbits(32) == numbers[TWISTER]:
            return True
    return False


def untempered(number: int) -> int:
    """Undo what a Mersenne Twister does to a word of its state to make an output of it."""
    number ^= number >> 18
    number ^= (number << 15) & 0xEFC60000
    seven = number
    for _ in range(4):
        seven = number ^ ((seven << 7) & 0x9D2C5680)
    eleven = seven
    for _ in range(2):
        eleven = seven ^ (eleven >> 11)
    return eleven & 0xFFFFFFFF


# ---- All of them, and the page ---------------------------------------------------------------------


def installed(libraries: dict[str, tuple[str, list[str]]]) -> list[str]:
    """Those whose packages are all here."""

    def is_here(package: str) -> bool:
        with contextlib.suppress(PackageNotFoundError):
            return bool(version(package))
        return False

    return [name for name, (_, packages) in libraries.items() if all(map(is_here, packages))]


def versions_of(libraries: dict[str, list[str]]) -> str:
    return "; ".join(
        f"{library} ({', '.join(f'{package} {version(package)}' for package in packages)})"
        for library, packages in libraries.items()
    )


def judge(library: str, variant: str) -> dict[str, Outcome]:
    found = {}
    with running(library, variant, [str(PROGRAMS), library, "server"]) as process:
        line = process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise SystemExit(f"{library}, {variant}: the program does not start")
        port = int(line)
        time.sleep(0.5)
        for fault in FAULTS:
            with contextlib.ExitStack() as links:

                def connect(deflate: bool, links: contextlib.ExitStack = links) -> Link:
                    link = Link(port, deflate)
                    links.callback(link.close)
                    return link

                found[fault.title] = fault.try_it(connect, process.pid)
                print(f"{library}, {variant}: {fault.title}: {found[fault.title].text}", file=sys.stderr)
    found[KEYS] = predictable_keys(library, variant)
    print(f"{library}, {variant}: {KEYS}: {found[KEYS].text}", file=sys.stderr)
    return found


def problems(found: dict[str, dict[str, dict[str, Outcome]]]) -> Iterator[str]:
    laxities = {fault.title for fault in FAULTS if fault.laxity}
    optional = {fault.title for fault in FAULTS if fault.optional}
    for library, variants in found.items():
        for title, before in variants["before"].items():
            for variant in VARIANTS[1:]:
                after = variants[variant][title]
                if after.right is False and before.right:
                    yield f"{library}: {title}: {variant} {after.text}, before {before.text}"
                elif (library, title) in REMAINS:
                    if after.right:
                        yield f"{library}: {title}: {variant} right, which REMAINS does not know"
                elif title in optional:
                    pass
                elif after.right is False and (variant == "strict" or title not in laxities):
                    yield f"{library}: {title}: {variant} still {after.text}"


def page(found: dict[str, dict[str, dict[str, Outcome]]]) -> str:
    lines = [f"| | {' | '.join(found)} |", "|---|" + "---|" * len(found)]
    for title in [KEYS, *(fault.title for fault in FAULTS)]:
        cells = []
        for variants in found.values():
            texts = [variants[variant][title] for variant in VARIANTS]
            cells.append("<br>".join(f"**{o.text}**" if o.right is False else o.text for o in texts))
        lines.append(f"| {title} | {' | '.join(cells)} |")
    remains = "\n".join(
        f"- {library}, {title}: {why}." for (library, title), why in REMAINS.items() if library in found
    )
    return TEXT.format(
        remains=remains,
        versions=versions_of({name: LIBRARIES[name][1] for name in found}),
        table="\n".join(lines),
    )


TEXT = """\
<!-- Made by `python tests/hosts/faults.py --write`. Do not edit by hand. -->

# Known faults, before and after

What each library does as it is, with `wsfast.install(library)`, and with `strict=True`: the three lines of
a cell. What is wrong is **bold**. Servers, as echo programs with compression and a limit of 1 MiB; the first
row is about clients. A library may have reasons for being lax: so where it takes what a peer may not send,
that changes with `strict` only.

{versions}.

{table}

What remains:

{remains}
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", nargs="*", help=f"of {', '.join(LIBRARIES)} (default: all installed)")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    if unknown := [name for name in options.library if name not in LIBRARIES]:
        parser.error(f"no library {unknown[0]!r}: {', '.join(LIBRARIES)}")
    found = {
        library: {variant: judge(library, variant) for variant in VARIANTS}
        for library in options.library or installed(LIBRARIES)
    }
    text = page(found)
    if options.write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
    print(text)
    wrong = list(problems(found))
    for problem in wrong:
        print(problem, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
