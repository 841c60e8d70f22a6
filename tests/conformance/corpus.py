"""The corpus: reads cases/*.toml into objects, and refuses what is not in the format of README.md.

Nothing of it uses wsfast: what a case expects comes from the RFC that it names.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from notation import Event, Local, NotationError, accept_value, event, frames, local
from notation import payload as read_payload

# Python 3.10 has none, and pytest brings it there.
tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")

FOLDER = Path(__file__).parent / "cases"
#: The limit on messages of a case without one: that of the peers' run, too.
DEFAULT_LIMIT = 1 << 20
#: What the server of the handshake cases knows, and their client offers.
SUBPROTOCOLS = ("chat", "superchat")
#: The rules that several cases have to cover.
RULES = (
    *(f"F{n}" for n in range(1, 19)),
    *(f"S{n}" for n in range(1, 5)),
    *(f"C{n}" for n in range(1, 3)),
    *(f"D{n}" for n in range(1, 11)),
)

REQUEST_LINE = "GET /chat HTTP/1.1"
REQUEST = [
    "Host: server.example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
]
RESPONSE_LINE = "HTTP/1.1 101 Switching Protocols"
RESPONSE = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: {accept}"]

_COMMON = {"id", "title", "section", "rules", "role", "in", "events", "accept", "note", "wire"}
_FRAMES = {"sends", "frames", "deflate", "limit"}
_HEAD = {"expect", "line", "set", "drop", "add", "repeat", "ending", "tail", "raw", "eof", "options"}
_SERVER = {"status", "response", "response_any", "absent", "agreed", "agreed_with", "request"}
_CLIENT = {"status", "response", "body", "sent", "needs"}


@dataclass(frozen=True, eq=False)
class Case:
    """One case in one role."""

    area: str
    role: str
    fields: dict[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        """Area and id; the role too, if the case is meant for both."""
        return f"{self.area}/{self.fields['id']}" + (f"/{self.role}" if "role" not in self.fields else "")

    def __getattr__(self, name: str) -> Any:
        """A field as it stands; None for one that is missing."""
        if name.startswith("__"):
            raise AttributeError(name)
        return self.fields.get(name)

    @property
    def is_handshake(self) -> bool:
        return "expect" in self.fields

    @property
    def on_wire(self) -> bool:
        """Whether the case can be put to any endpoint, over a socket."""
        if not self.fields.get("wire", True) or "limit" in self.fields:
            return False
        return not any(step == "eof" or step.startswith(">") for step in self.steps)

    @property
    def limit(self) -> int:
        return int(self.fields.get("limit", DEFAULT_LIMIT))

    # ---- Frames ------------------------------------------------------------------------------------

    @property
    def steps(self) -> list[str]:
        return list(self.fields.get("in", []))

    @cached_property
    def script(self) -> list[bytes | Local | None]:
        """Bytes that arrive, all up to the next thing; what the program does; None for the end."""
        found: list[bytes | Local | None] = []
        for step in self.steps:
            if step == "eof":
                found.append(None)
            elif step.startswith(">"):
                found.append(local(step[1:]))
            else:
                data = frames(step, self.role)
                if found and isinstance(found[-1], bytes):
                    found[-1] += data
                else:
                    found.append(data)
        return found

    @cached_property
    def events(self) -> list[Event]:
        return [event(line) for line in self.fields.get("events", [])]

    @cached_property
    def sends(self) -> list[Event]:
        """What goes out: as the case says, or else what answers to its events."""
        if "sends" in self.fields:
            return [event(line) for line in self.fields["sends"]]
        answers = []
        for happened in self.events:
            if happened.kind == "ping":
                answers.append(Event("pong", happened.payload))
            elif happened.kind in ("close", "fail"):
                answers.append(Event("close", b"", happened.code))
        return answers

    @property
    def end(self) -> Event | None:
        """The event that ends the connection."""
        return self.events[-1] if self.events and self.events[-1].kind in ("close", "fail", "lost") else None

    # ---- Heads -------------------------------------------------------------------------------------

    def head(self, key: str = "") -> bytes:
        """The request or response, with what follows it before the frames.

        Args:
            key: that of the client which the response is for.

        """
        if self.raw is not None:
            return read_payload(self.raw)
        server = self.role == "server"
        lines = list(REQUEST if server else RESPONSE)
        for line in self.set or []:
            name = line.partition(":")[0].strip().lower()
            old = [i for i, other in enumerate(lines) if other.partition(":")[0].lower() == name]
            # Those of the same name that `set` has brought are kept: a field can be given twice.
            fresh = [i for i in old if lines[i] in (REQUEST if server else RESPONSE)]
            if fresh:
                lines[fresh[0]] = "\x00" + line
            else:
                lines.append("\x00" + line)
        lines = [line.removeprefix("\x00") for line in lines]
        for name in self.drop or []:
            lines = [line for line in lines if line.partition(":")[0].lower() != name.lower()]
        for line in self.add or []:
            lines += [line.replace("{n}", str(n)) for n in range(self.repeat)] if self.repeat else [line]
        first = self.line or (REQUEST_LINE if server else RESPONSE_LINE)
        ending = self.ending or "\r\n"
        text = ending.join([first, *lines, "", ""]) + (self.tail or "")
        accept = accept_value(key)
        for name, value in (
            ("{accept}", accept),
            ("{accept_lower}", accept.lower()),
            ("{accept_short}", accept[:-1]),
            ("{key}", key),
        ):
            text = text.replace(name, value)
        text = re.sub(r"\{(.)\*(\d+)\}", lambda found: found[1] * int(found[2]), text)
        return text.encode("latin-1")

    @property
    def offers(self) -> list[str]:
        """The values of the request's Sec-WebSocket-Extensions fields."""
        found = [line.partition(":") for line in self.add or []]
        return [value.strip() for name, _, value in found if name.lower() == "sec-websocket-extensions"]


# ---- Extensions (RFC 6455 §9.1, RFC 7692 §7.1) -----------------------------------------------------

_PARAMETERS = {
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
}
_WINDOW_BITS: tuple[str | None, ...] = ("8", "9", "10", "11", "12", "13", "14", "15")
_MEMBER = re.compile(r"""[^\s,;="]+|"(?:[^"\\]|\\.)*"|[,;=]""")


def parse_extensions(value: str) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """Extensions and their parameters, of a list that follows the grammar."""
    found: list[tuple[str, list[tuple[str, str | None]]]] = []
    tokens = [*_MEMBER.findall(value), ","]
    member: list[str] = []
    for token in tokens:
        if token != ",":
            member.append(token)
            continue
        if member:
            name, *rest = " ".join(member).split(" ; ")
            parameters: list[tuple[str, str | None]] = []
            for part in rest:
                key, equals, text = part.partition(" = ")
                if text.startswith('"'):
                    text = re.sub(r"\\(.)", r"\1", text[1:-1])
                parameters.append((key, text if equals else None))
            found.append((name, parameters))
        member = []
    return found


def agreement_fault(offers: list[str], answer: str) -> str:
    """Why a server may not give that answer to these offers (RFC 7692 §5.1, §7.1); "" if it may."""
    answers = parse_extensions(answer)
    if len(answers) != 1 or answers[0][0] != "permessage-deflate":
        return f"{answer!r} was not offered"
    given = dict(answers[0][1])
    fault = _parameter_fault(answers[0][1], offer=False)
    if fault:
        return fault
    why = "there is no valid offer"
    for name, parameters in (member for value in offers for member in parse_extensions(value)):
        if name != "permessage-deflate" or _parameter_fault(parameters, offer=True):
            continue
        asked = dict(parameters)
        if "server_no_context_takeover" in asked and "server_no_context_takeover" not in given:
            why = "server_no_context_takeover is missing from the answer"
        elif int(given.get("server_max_window_bits") or 15) > int(asked.get("server_max_window_bits") or 15):
            why = "server_max_window_bits is missing from the answer, or too large"
        elif "client_max_window_bits" in given and "client_max_window_bits" not in asked:
            why = "client_max_window_bits was not offered"
        elif int(given.get("client_max_window_bits") or 0) > int(asked.get("client_max_window_bits") or 15):
            why = "client_max_window_bits is larger than offered"
        else:
            return ""
    return why


def _parameter_fault(parameters: list[tuple[str, str | None]], *, offer: bool) -> str:
    if len(dict(parameters)) != len(parameters):
        return "a parameter stands twice"
    for name, value in parameters:
        if name not in _PARAMETERS:
            return f"unknown parameter {name!r}"
        if name.endswith("takeover"):
            if value is not None:
                return f"{name} with a value"
        elif not (value is None and offer and name.startswith("client")) and value not in _WINDOW_BITS:
            return f"{name} with the value {value!r}"
    return ""


def split_head(data: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
    """First line, fields with names in lower case, and what follows, of a head that is well formed."""
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return first, fields, rest


# ---- Reading the files -----------------------------------------------------------------------------


def _check(area: str, fields: dict[str, Any]) -> None:
    where = f"{area}/{fields.get('id', '?')}"
    missing = {"id", "title", "section", "rules"} - fields.keys()
    if missing:
        raise NotationError(f"{where} lacks {sorted(missing)}")
    if "expect" in fields:
        if fields.get("role") not in ("client", "server") or fields["expect"] not in ("accept", "reject"):
            raise NotationError(f"{where}: role must be client or server, and expect accept or reject")
        allowed = _COMMON | _HEAD | (_SERVER if fields["role"] == "server" else _CLIENT)
    else:
        allowed = _COMMON | _FRAMES
        if "in" not in fields or "events" not in fields:
            raise NotationError(f"{where} lacks in or events")
    unknown = fields.keys() - allowed
    if unknown:
        raise NotationError(f"{where} has unknown fields {sorted(unknown)}")
    if not re.fullmatch("[a-z0-9.-]+", fields["id"]):
        raise NotationError(f"{where}: an id has lower-case letters, digits, dots and hyphens")
    if not re.fullmatch(
        r"RFC (6455|7692|3629|9110|9112)( §[\d.]+)?((, )(RFC \d+ )?§[\d.]+)*", fields["section"]
    ):
        raise NotationError(f"{where}: {fields['section']!r} is no section such as 'RFC 6455 §5.2, §7.1.7'")
    wrong = [rule for rule in fields["rules"] if rule not in RULES]
    if wrong or not fields["rules"]:
        raise NotationError(f"{where}: {wrong} are no rules")


def load(folder: Path = FOLDER) -> list[Case]:
    """Every case of the corpus, in each of its roles.

    Raises:
        NotationError: a case is not in the format, or an id stands twice.

    """
    found: list[Case] = []
    for path in sorted(folder.glob("*.toml")):
        area = path.stem
        seen = set()
        for fields in tomllib.loads(path.read_text("utf-8"))["case"]:
            _check(area, fields)
            if fields["id"] in seen:
                raise NotationError(f"{area}/{fields['id']} stands twice")
            seen.add(fields["id"])
            roles = [fields["role"]] if "role" in fields else ["server", "client"]
            found += [Case(area, role, fields) for role in roles]
    return found


def entries(cases: list[Case]) -> Iterator[Case]:
    """Each case once, whatever its roles."""
    seen = set()
    for case in cases:
        if (case.area, case.fields["id"]) not in seen:
            seen.add((case.area, case.fields["id"]))
            yield case
