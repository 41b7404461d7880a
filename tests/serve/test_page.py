"""The page in a real browser, with a microphone that plays a recording."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from echo_asr.data.corpus import load_corpus
from echo_asr.data.writers.additions import open_additions
from echo_asr.decode.transcribe import Recognizer
from echo_asr.serve.app import PAGE, PARTS
from tests.helpers.served import SPOKEN, Served, ask, serving
from tests.helpers.slow import slow

pytest.importorskip("fastapi")
SECONDS = len(SPOKEN) / 16_000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser(recording: Path) -> Iterator[Any]:
    """Chromium, whose microphone plays the recording."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    fake = f"--use-file-for-fake-audio-capture={recording}"
    words = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", fake]
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=words)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    """The page, ready, in which no script may fail."""
    context = browser.new_context(locale="en-GB", permissions=["microphone"], viewport={"width": 390, "height": 800})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(served.url)
    opened.wait_for_selector("html[data-ready]", timeout=30_000)
    yield opened
    context.close()
    assert errors == []


def test_all_parts_of_the_page_are_served_and_nothing_else(served: Served) -> None:
    assert {path.name for path in PAGE.iterdir()} == {"index.html", *PARTS}
    assert ask(served, "/").headers["content-type"].startswith("text/html")
    for name, kind in PARTS.items():
        assert ask(served, f"/page/{name}").headers["content-type"].startswith(kind)
    for name in ("../app.py", "..%2fapp.py", "none.js", "index.html"):
        assert ask(served, f"/page/{name}").status == 404


def test_every_language_has_all_words() -> None:
    table = json.loads((PAGE / "words.json").read_text(encoding="utf-8"))
    assert list(table) == ["en", "es", "fr", "zh"]
    assert all(own.keys() == table["en"].keys() and all(own.values()) for own in table.values())


def test_a_file_is_transcribed_corrected_and_downloaded(
    page: Any, recording: Path, recognizer: Recognizer, tmp_path: Path
) -> None:
    page.set_input_files("#file", recording)
    page.wait_for_selector("#status:text-is('Done.')", timeout=30_000)
    expected = [segment.text for segment in recognizer.transcribe(recording).segments]
    assert page.locator("#segments .text").all_inner_texts() == expected
    assert page.evaluate("document.getElementById('view').width") > 300
    assert page.locator("#add-form").is_hidden()  # the service adds to no corpus
    page.locator("#segments .text").first.fill("corrected <text>")
    for form, ending in (("txt", "txt"), ("srt", "srt"), ("eaf", "eaf"), ("textgrid", "TextGrid")):
        with page.expect_download() as found:
            page.locator(f"#downloads button[data-form={form}]").click()
        assert found.value.suggested_filename == f"long.{ending}"
        found.value.save_as(tmp_path / ending)
    assert (tmp_path / "txt").read_text().splitlines() == ["corrected <text>", *expected[1:]]
    assert "corrected &lt;text>" in (tmp_path / "eaf").read_text() or "&lt;text&gt;" in (tmp_path / "eaf").read_text()


def test_keys_move_through_the_recording(page: Any, recording: Path) -> None:
    page.set_input_files("#file", recording)
    page.wait_for_selector("#status:text-is('Done.')", timeout=30_000)
    page.locator("#view").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#clock:text-is('0:02.0')")
    page.keyboard.press("Home")
    page.wait_for_selector("#clock:text-is('0:00.0')")
    page.locator("#segments button").first.click()
    page.wait_for_selector("#play:text-is('Pause')", timeout=30_000)
    page.wait_for_selector("#play:text-is('Play')", timeout=30_000)  # at the end of the segment
    assert page.evaluate("document.getElementById('audio').currentTime") < 4.0


def scale(page: Any) -> float:
    """Pixels of the whole time axis."""
    return float(page.evaluate("document.getElementById('wide').clientWidth"))


def test_the_time_axis_is_zoomed_and_scrolled_by_buttons_keys_and_wheel(page: Any, recording: Path) -> None:
    page.set_input_files("#file", recording)
    page.wait_for_selector("#status:text-is('Done.')", timeout=30_000)
    before, frame = scale(page), page.evaluate("document.getElementById('scroll').clientWidth")
    assert before > 1.5 * frame  # wider than a telephone
    page.evaluate("document.getElementById('scroll').scrollLeft = 200")
    page.locator("#view").click(position={"x": 60, "y": 40})
    assert page.evaluate("document.getElementById('audio').currentTime") == pytest.approx(260 / 120, abs=0.05)
    for act, wider in (
        (lambda: page.locator("#closer").click(), True),
        (lambda: page.locator("#farther").click(), False),
        (lambda: page.locator("#view").press("+"), True),
        (lambda: page.locator("#view").press("-"), False),
    ):
        act()
        assert (scale(page) > before) == wider and (scale(page) == pytest.approx(before, abs=1)) != wider
    page.locator("#view").press("0")
    assert scale(page) == pytest.approx(frame, abs=1)
    page.locator("#view").click(position={"x": frame / 2, "y": 40})
    middle = page.evaluate("document.getElementById('audio').currentTime")
    assert middle == pytest.approx(SECONDS / 2, abs=0.1)
    page.mouse.move(*page.evaluate("[...['left', 'top']].map((k) => view.getBoundingClientRect()[k] + 100)"))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    page.wait_for_function(f"document.getElementById('wide').clientWidth > {2 * frame}")
    page.locator("#view").press("End")
    page.wait_for_selector(f"#clock:text-is('0:0{SECONDS:.1f}')")
    assert page.evaluate("document.getElementById('scroll').scrollLeft") > frame


@pytest.mark.slow
def test_two_fingers_zoom(browser: Any, served: Served, recording: Path) -> None:
    context = browser.new_context(locale="en-GB", has_touch=True, viewport={"width": 390, "height": 800})
    touched = context.new_page()
    touched.goto(served.url)
    touched.wait_for_selector("html[data-ready]", timeout=30_000)
    touched.set_input_files("#file", recording)
    touched.wait_for_selector("#status:text-is('Done.')", timeout=30_000)
    before, session = scale(touched), context.new_cdp_session(touched)
    x, y = touched.evaluate("[...['left', 'top']].map((k) => view.getBoundingClientRect()[k] + 100)")
    for kind, apart in (("touchStart", 40), ("touchMove", 60), ("touchMove", 120), ("touchEnd", 0)):
        points = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}] if apart else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touched.wait_for_function(f"document.getElementById('wide').clientWidth > {1.5 * before}")
    context.close()


def test_the_last_samples_of_a_microphone_are_not_lost(page: Any) -> None:
    """The part of a recording that does not fill a block."""
    given = page.evaluate("""async () => {
      const given = [];
      let made;
      globalThis.sampleRate = 16000;
      globalThis.AudioWorkletProcessor = class { port = { postMessage: (block) => given.push(block) }; };
      globalThis.registerProcessor = (name, kind) => { made = new kind(); };
      await import("./page/worklet.js");
      for (let at = 0; at < 2048; at += 128) made.process([[Float32Array.from({ length: 128 }, (_, i) => at + i)]]);
      made.port.onmessage({ data: "end" });
      return given.map((block) => block && [...block]);
    }""")
    assert given[-1] is None and sum(given[:-1], []) == list(range(2048))


def test_a_corrected_recording_is_added_to_a_corpus(
    browser: Any, recording: Path, recognizer: Recognizer, tmp_path: Path
) -> None:
    open_additions(tmp_path / "corpus")
    with serving({"mine": recognizer}, corpus=tmp_path / "corpus") as open_service:
        context = browser.new_context(locale="en-GB")
        opened = context.new_page()
        opened.goto(open_service.url)
        opened.wait_for_selector("html[data-ready]", timeout=30_000)
        assert opened.locator("#add-form").is_hidden()
        opened.set_input_files("#file", recording)
        opened.wait_for_selector("#status:text-is('Done.')", timeout=30_000)
        texts = opened.locator("#segments .text").all_inner_texts()
        opened.locator("#segments .text").first.fill("corrected")
        opened.locator("#segments .text").last.fill("")  # is left out
        opened.fill("#speaker", "lan")
        opened.locator("#add-form button").click()
        opened.wait_for_selector(f"#status:text-is('Added to corpus: {len(texts) - 1} clips.')", timeout=30_000)
        opened.locator("#add-form button").click()
        opened.wait_for_selector("#status.error", timeout=30_000)
        assert "is in the corpus already" in opened.locator("#status").inner_text()
        context.close()
    found = load_corpus(tmp_path / "corpus").utterances
    assert [(u.text, u.speaker) for u in found] == [(text, "lan") for text in ["corrected", *texts[1:-1]]]


def test_the_microphone_gives_text_while_one_speaks(page: Any) -> None:
    page.locator("#record").click()
    page.wait_for_selector("#segments li, #live:not(:empty)", timeout=30_000)
    assert page.locator("#record").get_attribute("aria-pressed") == "true"
    page.wait_for_selector("#segments li:nth-child(3)", timeout=60_000)  # so much that some of it is surely found again
    page.locator("#record").click()
    page.wait_for_selector("#record[aria-pressed=false]", timeout=30_000)
    page.wait_for_selector("#status:not(:text-matches('Listening|Transcribing'))", timeout=30_000)
    assert (page.locator("#status").inner_text(), page.locator("#segments li").count() >= 1) == ("Done.", True)


def test_its_words_are_in_the_language_that_is_chosen(page: Any) -> None:
    for code, word in (("es", "Grabar"), ("fr", "Enregistrer"), ("zh", "录音"), ("en", "Record")):
        page.select_option("#language", code)
        assert page.locator("#record").inner_text() == word and page.locator("html").get_attribute("lang") == code


def test_a_file_that_cannot_be_read_is_named(page: Any) -> None:
    page.set_input_files("#file", {"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": b"no sound"})
    page.wait_for_selector("#status.error", timeout=30_000)
    assert "notes.mp3: is not an audio file" in page.locator("#status").inner_text()


@pytest.mark.parametrize(
    ("scheme", "width"), [("dark", 320), slow("light", 320), slow("dark", 1200), slow("light", 1200)]
)
def test_it_fits_any_width_and_asks_nothing_of_other_hosts(
    scheme: str, width: int, page: Any, served: Served, recording: Path
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.set_input_files("#file", recording)
    page.wait_for_selector("#status:text-is('Done.')", timeout=30_000)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert all(url.startswith((served.url, "blob:")) for url in asked)


@pytest.mark.slow
def test_a_token_is_asked_for(browser: Any, recognizer: Recognizer) -> None:
    with serving({"mine": recognizer}, "a-token-of-some-length") as closed:
        context = browser.new_context(locale="en-GB")
        opened = context.new_page()
        opened.goto(closed.url)
        opened.wait_for_selector("#token-form:not([hidden])", timeout=30_000)
        opened.fill("#token", "a-token-of-some-length")
        opened.locator("#token-form button").click()
        opened.wait_for_selector("#token-form", state="hidden", timeout=30_000)
        assert opened.locator("#model option").all_inner_texts() == ["mine"]
        context.close()


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"segments": 3}', b'{"segments": [{"start": 0, "end": "x", "text": "a"}]}', b"[" * 9999,
     b'{"segments": [{"start": NaN, "end": 1, "text": "a"}]}', b'{"segments": [{"start": 0, "end": 1, "text": 3}]}'],
)  # fmt: skip
def test_what_is_no_annotation_is_refused(body: bytes, served: Served) -> None:
    answer = ask(served, "/v1/annotations/srt", "POST", body)
    assert answer.status == 400 and "expected an object" in answer.error["message"]
    assert ask(served, "/v1/annotations/pdf", "POST", body).status == 404


def test_annotations_have_a_bound(served: Served) -> None:
    answer = ask(served, "/v1/annotations/srt", "POST", bytes(2**24 + 1))
    assert (answer.status, answer.error["code"]) == (413, "file_too_large")
