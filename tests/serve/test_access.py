"""Who may use a service: no page of another site, whatever name it goes by, and nobody without the token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from echo_asr.decode.transcribe import Recognizer
from echo_asr.errors import EchoError
from echo_asr.serve.access import Access, is_loopback, make_access
from tests.helpers.served import Served, ask, send, serving, wav
from tests.helpers.tone_corpus import tone

TOKEN = "a-token-of-some-length"
LOCAL = make_access("127.0.0.1")


@pytest.fixture(scope="module")
def closed(recognizer: Recognizer) -> Iterator[Served]:
    """A service with a token, behind a proxy of another name, which pages of one other site may use."""
    pytest.importorskip("fastapi")
    with serving({"mine": recognizer}, TOKEN, hosts=("echo.example",), origins=("https://notes.example",)) as running:
        yield running


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost", "LOCALHOST:80", "[::1]:8000", "192.168.1.7", "localhost."]
)
def test_names_of_this_machine_are_its_own(host: str) -> None:
    assert LOCAL.host_allowed(host)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "a@localhost", "localhost/x", "[::", "::1x"]
)
def test_other_names_are_refused(host: str) -> None:
    assert not LOCAL.host_allowed(host)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://127.0.0.1:8000", True),
        ("https://127.0.0.1:8000", True),  # behind a proxy that has the certificate
        ("http://127.0.0.1:8001", False),
        ("http://localhost:8000", False),
        ("null", False),
        ("", False),
        ("file://", False),
        ("chrome-extension://127.0.0.1:8000", False),
        ("https://notes.example", True),
        ("https://notes.example.evil.example", False),
        ("http://[", False),
    ],
)
def test_only_its_own_page_and_allowed_sites_may_call(origin: str | None, allowed: bool) -> None:
    access = Access(origins=frozenset({"https://notes.example"}))
    assert access.origin_allowed(origin, "127.0.0.1:8000") is allowed


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "echo.example"])
def test_another_address_needs_a_token(host: str) -> None:
    with pytest.raises(EchoError, match="give a token .*--token-file"):
        make_access(host)
    assert make_access(host, TOKEN).token == TOKEN and not is_loopback(host)


@pytest.mark.parametrize("token", ["short", "with a space in between", "ngữ" * 9])
def test_a_token_that_is_easy_to_guess_or_cannot_be_sent_is_refused(token: str) -> None:
    with pytest.raises(EchoError, match="at least 16 ASCII characters"):
        make_access("127.0.0.1", token)


def test_what_is_no_site_cannot_be_allowed() -> None:
    with pytest.raises(EchoError, match="--allow-origin notes.example: expected the address of a site"):
        make_access("127.0.0.1", origins=("notes.example",))


# --- by a server ---


@pytest.mark.parametrize("path", ["/", "/health", "/metrics", "/v1/models", "/v1/audio/transcriptions", "/v1/live"])
def test_another_name_is_refused_everywhere(path: str, served: Served) -> None:
    answer = ask(served, path, headers={"Host": "evil.example"})
    assert (answer.status, answer.error["code"]) == (403, "host_not_allowed")


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_page_of_another_site_cannot_drive_the_service(origin: str, served: Served) -> None:
    answer = send(served, wav(tone("a")), headers={"Origin": origin})
    assert (answer.status, answer.error["code"]) == (403, "origin_not_allowed")
    assert send(served, wav(tone("a")), headers={"Origin": served.url}).status == 200


@pytest.mark.parametrize("value", [None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"])
def test_without_the_token_nothing_is_done(value: str | None, closed: Served) -> None:
    headers = {"Authorization": value} if value else {}
    for answer in (send(closed, wav(tone("a")), headers=headers), ask(closed, "/metrics", headers=headers)):
        assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_with_the_token_it_is(closed: Served) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "echo.example", "Origin": "https://notes.example"}
    assert send(closed, wav(tone("a")), headers=headers).status == 200


def test_health_needs_no_token_and_tells_nothing(closed: Served) -> None:
    assert ask(closed, "/health").body == b'{"status":"ok"}'


def test_answers_cannot_be_framed_sniffed_or_kept(served: Served) -> None:
    headers = ask(served, "/health").headers
    assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"] and headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers
