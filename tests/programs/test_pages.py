"""The programs' pages in a browser: Chromium, without a window.

WSFAST_SCREENSHOTS=docs/images makes the pictures of docs/programs.md.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from programs_running import DEADLINE, MARKS, Program

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [*MARKS, pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # Root has no sandbox, and containers have little shared memory.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        launched = started.chromium.launch(executable_path=CHROMIUM, args=arguments, headless=True)
        yield launched
        launched.close()


class Pages:
    """A program, and its page as several people have it open. An error in a page fails the test."""

    def __init__(self, browser: Any, name: str) -> None:
        self._browser = browser
        self._program = Program(name)
        self._contexts: list[Any] = []
        self._errors: list[str] = []

    def __enter__(self) -> Pages:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        # The pages first: they complain when the program is gone.
        for context in self._contexts:
            context.close()
        self._program.__exit__(kind, *error)
        assert kind is not None or self._errors == []

    def open(self) -> Any:
        context = self._browser.new_context(viewport={"width": 900, "height": 700}, locale="en-GB")
        self._contexts.append(context)
        context.set_default_timeout(DEADLINE * 1000)
        page = context.new_page()
        page.on("console", self._note)
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        page.goto(self._program.page)
        page.wait_for_selector("#state.open")
        return page

    def _note(self, message: Any) -> None:
        # Also what the Content-Security-Policy forbids is an error; that tests read canvases is none.
        if message.type in ("error", "warning") and not message.text.startswith("Canvas2D: "):
            self._errors.append(message.text)


def wait(page: Any, condition: str) -> None:
    """Wait for a condition. Not by the page itself, whose policy forbids it to evaluate strings."""
    end = time.monotonic() + DEADLINE
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def number(page: Any, element: str) -> int:
    return int(page.inner_text(f"#{element}").replace(",", ""))


def plots_are_drawn(page: Any, *plots: str) -> None:
    """Wait until something is drawn on each of the canvases."""
    for plot in ("rate", "latency", *plots):
        wait(
            page,
            f"""() => {{
              const canvas = document.getElementById("{plot}");
              if (!canvas.width || !canvas.height) return false;
              const {{ data }} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              return data.some((value) => value > 0);
            }}""",
        )


def screenshot(page: Any, name: str, ready: str = "true") -> None:
    folder = os.environ.get("WSFAST_SCREENSHOTS")
    if folder:
        # For plots with something in them.
        page.wait_for_timeout(12_000)
        wait(page, ready)
        path = Path(folder) / f"{name}.png"
        page.screenshot(path=str(path), full_page=True)
        # A third of the bytes, and nobody sees it.
        image = pytest.importorskip("PIL.Image")
        image.open(path).convert("RGB").quantize(256).save(path, optimize=True)


def test_chat(browser: Any) -> None:
    def join(page: Any, name: str) -> None:
        page.fill("#name", name)
        page.click("#join button")
        page.wait_for_selector("#text:enabled")

    def say(page: Any, text: str) -> None:
        page.fill("#text", text)
        page.press("#text", "Enter")

    with Pages(browser, "chat") as pages:
        ann, bob = pages.open(), pages.open()
        join(ann, "Ann")
        say(ann, "Is anybody here?")
        join(bob, "Bob")
        bob.wait_for_selector("#log >> text=Is anybody here?")
        ann.wait_for_selector("#log >> text=Bob came in")
        for page in (ann, bob):
            wait(page, "document.querySelectorAll('#people li').length === 2")
        # Text is text, whatever is in it.
        attack = "<img src=x onerror=\"document.title='hit'\"><b>bold</b>"
        say(bob, attack)
        ann.wait_for_selector("#log p:last-child b >> text=Bob")
        wait(ann, "document.querySelector('#log p:last-child span').textContent.includes('<b>bold</b>')")
        assert ann.title() == "Chat" and ann.locator("#log img").count() == 0

        eve = pages.open()
        eve.fill("#name", "Ann")
        eve.click("#join button")
        eve.wait_for_selector("#log .error >> text=Ann is here already")
        eve.context.close()

        for page, text in (
            (ann, "Grüße aus der Lobby"),
            (bob, "Καλημέρα! Добрый день!"),
            (ann, "The server keeps the last fifty lines, so that whoever comes late can read along."),
        ):
            say(page, text)
            bob.wait_for_selector(f"#log >> text={text}")
        plots_are_drawn(ann)
        screenshot(ann, "chat")
        bob.context.close()
        ann.wait_for_selector("#log >> text=Bob left")


def test_chat_connects_again(browser: Any) -> None:
    with Pages(browser, "chat") as pages:
        page = pages.open()
        page.fill("#name", "Ann")
        page.click("#join button")
        page.fill("#text", "before")
        page.press("#text", "Enter")
        page.wait_for_selector("#log >> text=before")
        # Too long for the server, which closes the connection. The page connects, and joins, again.
        page.evaluate("document.getElementById('log').replaceChildren()")
        page.evaluate("document.getElementById('text').removeAttribute('maxlength')")
        page.fill("#text", "x" * 10_000)
        page.press("#text", "Enter")
        page.wait_for_selector("#log >> text=before")
        page.fill("#text", "after")
        page.press("#text", "Enter")
        page.wait_for_selector("#log >> text=after")


def test_ticker(browser: Any) -> None:
    with Pages(browser, "ticker") as pages:
        page = pages.open()
        wait(page, "document.querySelectorAll('#symbols tr').length === 8")
        # Each update is counted as it comes: thousands of them.
        wait(page, "Number(document.getElementById('updates').textContent.replace(',', '')) >= 5000")
        wait(page, "Number(document.getElementById('served').textContent) > 0")
        page.click("#symbols tr:nth-child(3)")
        page.wait_for_selector("#symbols tr:nth-child(3).chosen")
        assert page.inner_text("#title").startswith("INITECH")
        assert number(page, "missed") == 0
        plots_are_drawn(page, "chart")
        screenshot(page, "ticker")


def test_game(browser: Any) -> None:
    # Where the own paddle is, by the pixels of its column: the mean of their rows, as a part of the height.
    paddle = """(x) => {
      const canvas = document.getElementById("field");
      const column = Math.round(canvas.width * x);
      const { data } = canvas.getContext("2d").getImageData(column, 0, 1, canvas.height);
      let sum = 0, count = 0;
      for (let y = 0; y < canvas.height; y++) if (data[y * 4 + 3] > 0) { sum += y; count += 1; }
      return count ? sum / count / canvas.height : null;
    }"""

    def wait_paddle(page: Any, x: float, condition: str) -> None:
        wait(page, f"() => {{ const y = ({paddle})({x}); return y !== null && ({condition}); }}")

    with Pages(browser, "game") as pages:
        left = pages.open()
        left.wait_for_selector("#told >> text=waiting for a second player")
        right = pages.open()
        left.wait_for_selector("#told >> text=you play left")
        right.wait_for_selector("#told >> text=you play right")
        # Each sees both paddles move: to the ends of the field, so that no time is asked for.
        left.keyboard.down("ArrowUp")
        right.keyboard.down("KeyS")
        for page in (left, right):
            wait_paddle(page, 0.022, "y < 0.12")
            wait_paddle(page, 0.977, "y > 0.88")
        left.keyboard.up("ArrowUp")
        left.keyboard.down("ArrowDown")
        wait_paddle(right, 0.022, "y > 0.3")
        left.keyboard.up("ArrowDown")
        right.keyboard.up("KeyS")
        wait(left, "document.getElementById('p99').textContent !== '-'")
        assert number(left, "ticks") > 0
        plots_are_drawn(left, "gap")
        ball = """(() => {
          const canvas = document.getElementById("field");
          const { width, height } = canvas;
          const { data } = canvas.getContext("2d").getImageData(width * 0.55, 0, width * 0.3, height);
          for (let i = 0; i < data.length; i += 4) if (data[i] === 255 && data[i + 1] === 255) return true;
          return false;
        })()"""
        screenshot(left, "game", ready=ball)
        right.context.close()
        left.wait_for_selector("#told >> text=waiting for a second player")


def test_video(browser: Any) -> None:
    # A sum of the picture's pixels.
    pixels = """(() => {
      const canvas = document.getElementById("screen");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.reduce((sum, value, index) => (sum + value * (index % 65521)) % 4294967296, 0);
    })()"""
    with Pages(browser, "video") as pages:
        page = pages.open()
        for _ in range(3):
            before, frames = page.evaluate(pixels), number(page, "frames")
            wait(page, f"{pixels} !== {before}")
            wait(page, f"Number(document.getElementById('frames').textContent.replace(',', '')) > {frames}")
        # Who draws two frames a second gets no more than that, and the others are not waiting anywhere.
        missed = number(page, "missed")
        slow = pages.open()
        slow.select_option("#slow", "500")
        wait(slow, f"Number(document.getElementById('missed').textContent) > {missed} + 20")
        wait(page, "document.getElementById('viewers').textContent === '2'")
        slow.context.close()
        plots_are_drawn(page, "drawn")
        screenshot(page, "video")
