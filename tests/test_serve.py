"""`winnow serve` serves published files only, with headers for browsers and caches, on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
from starlette.staticfiles import StaticFiles

from tests.serving import SERVE, serving, wait_until_listening
from winnow_dagster.serve import FILE_POLICY, MAX_READ_AT_ONCE, PAGE_POLICY, make_app

if TYPE_CHECKING:
    from collections.abc import Iterator

SVG = "<svg xmlns='http://www.w3.org/2000/svg'/>"
PAGE_TYPE = "text/html; charset=utf-8"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    public = tmp_path / "public"
    (public / "empty").mkdir(parents=True)
    (public / "index.html").write_text("<h1>Badges</h1>")
    for package in ("a", "discord.py", "web.js", "badge.json"):
        (public / package).mkdir()
        (public / package / "index.html").write_text(f"<p>{package}</p>" * 200)
    (public / "a" / "badge.json").write_text("{}")
    (public / "a" / "badge.svg").write_text(SVG)
    (public / "a" / "history.csv").write_text("date\r\n")
    (public / "a" / ".winnow-1-aa").write_text("staged")
    (tmp_path / "secret.txt").write_text("secret")
    (public / "a" / "out").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "winnow.yaml").write_text("packages: [{name: a}]")
    with serving(tmp_path) as (_, port), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


def answer_to(client: httpx.Client, request: str) -> bytes:
    """Send a request as it is: a client would tidy it."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(f"{request}\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def ask(folder: Path, path: str, *, base: str = "") -> httpx.Response:
    """Ask the application itself, in this process."""

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(make_app(folder, base))
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
            return await client.get(path)

    return anyio.run(get)


def test_files_are_served_with_their_types_and_for_five_minutes(client: httpx.Client) -> None:
    for path, kind in (
        ("/", PAGE_TYPE),
        ("/a/", PAGE_TYPE),
        ("/a/index.html", PAGE_TYPE),
        ("/a/badge.json", "application/json"),
        ("/a/badge.svg", "image/svg+xml"),
        ("/a/history.csv", "text/csv; charset=utf-8"),
    ):
        found = client.get(path)
        assert (found.status_code, found.headers["content-type"]) == (200, kind)
        assert found.headers["cache-control"] == "public, max-age=300"
        assert found.headers["x-content-type-options"] == "nosniff"
        is_page = kind == PAGE_TYPE
        assert found.headers["content-security-policy"] == (PAGE_POLICY if is_page else FILE_POLICY)
        assert found.headers.get("access-control-allow-origin") == (None if is_page else "*")


def test_the_page_of_a_package_with_a_dot_in_its_name_is_html(client: httpx.Client) -> None:
    for package in ("discord.py", "web.js", "badge.json"):
        found = client.get(f"/{package}/")
        assert found.headers["content-type"] == PAGE_TYPE
        assert found.headers["content-security-policy"] == PAGE_POLICY
        assert "access-control-allow-origin" not in found.headers
        again = client.get(f"/{package}/", headers={"If-None-Match": found.headers["etag"]})
        assert (again.status_code, again.headers["content-security-policy"]) == (304, PAGE_POLICY)


def test_a_redirect_to_a_page_stays_on_the_requested_host(client: httpx.Client) -> None:
    for path, page in (("/a", "./a/"), ("//discord.py", "./discord.py/"), ("/%64iscord.py?x=//evil", "./discord.py/")):
        head, _, _ = answer_to(client, f"GET {path} HTTP/1.1\r\nHost: evil.example").partition(b"\r\n\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head.decode().splitlines()[1:])
        assert head.split(b" ")[1] == b"307"
        assert fields["location"] == page
        assert "evil" not in head.decode()
        assert "cache-control" not in fields
    assert client.get("/discord.py", follow_redirects=True).url.path == "/discord.py/"


def test_what_has_not_changed_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/a/")
    again = client.get("/a/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    # A browser takes these in place of those that it kept.
    for name in ("cache-control", "content-security-policy", "x-content-type-options"):
        assert again.headers[name] == first.headers[name]
    assert client.get("/a/", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_replaced_file_is_served_with_its_new_content(client: httpx.Client, tmp_path: Path) -> None:
    badge = tmp_path / "public" / "a" / "badge.json"
    for n in (1, 10, 2):
        staged = tmp_path / "staged"
        staged.write_text(f'{{"n":{n}}}')
        staged.replace(badge)
        assert client.get("/a/badge.json").json() == {"n": n}


def test_a_file_that_is_replaced_during_a_request_is_served_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    badge = tmp_path / "badge.json"
    badge.write_text("{}")
    look_up = StaticFiles.lookup_path

    def look_up_and_replace(self: StaticFiles, path: str) -> tuple[str, os.stat_result | None]:
        found = look_up(self, path)
        (tmp_path / "staged").write_text('{"longer": true}')
        (tmp_path / "staged").replace(badge)
        return found

    monkeypatch.setattr(StaticFiles, "lookup_path", look_up_and_replace)
    answer = ask(tmp_path, "/badge.json")
    assert answer.json() == {"longer": True}
    assert answer.headers["content-length"] == str(len(answer.content))


def test_a_part_of_a_file_and_a_large_file_are_served(client: httpx.Client, tmp_path: Path) -> None:
    part = client.get("/a/", headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.text) == (206, client.get("/a/").text[1:4])
    large = bytes(MAX_READ_AT_ONCE + 1)
    (tmp_path / "public" / "a" / "large.csv").write_bytes(large)
    assert client.get("/a/large.csv").content == large


def test_no_response_is_compressed(client: httpx.Client) -> None:
    for encodings in ("gzip", "gzip;q=0", "identity"):
        assert "content-encoding" not in client.get("/a/", headers={"Accept-Encoding": encodings}).headers


def test_a_head_is_answered_as_a_get_without_its_body(client: httpx.Client) -> None:
    found = client.head("/a/badge.json")
    assert (found.status_code, found.content) == (200, b"")
    assert found.headers["content-length"] == "2"


def test_write_methods_are_refused(client: httpx.Client) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, "/a/badge.json").status_code == 405


def test_only_published_files_are_served(client: httpx.Client) -> None:
    for path in (
        "/a/.winnow-1-aa",
        "/a/%2ewinnow-1-aa",
        "/empty/",
        "/nothing",
        "/a/out",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/a/%2e%2e/%2e%2e/secret.txt",
        "/%252e%252e/secret.txt",
        "/a/..%5c..%5csecret.txt",
        "/a%00/badge.json",
    ):
        answer = answer_to(client, f"GET {path} HTTP/1.1\r\nHost: x")
        assert answer.split(b" ")[1] == b"404", path
        assert b"secret" not in answer
        assert b"staged" not in answer


def test_it_listens_on_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    for options, address in (([], "http://127.0.0.1:"), (["--host", "0.0.0.0"], "http://0.0.0.0:")):
        with subprocess.Popen([*SERVE, *options], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert address in server.stdout.readline()
            server.terminate()


def test_it_serves_although_its_line_is_lost_on_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Path("/dev/full").open("w") as full:
        server = subprocess.Popen([*SERVE[:-1], str(port)], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE)
    try:
        wait_until_listening(port)
    finally:
        server.terminate()
        _, errors = server.communicate()
    assert errors == b""


def test_ctrl_c_ends_it_at_once_without_output(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "large.csv").write_bytes(bytes(30_000_000))
    # A terminal sends the signal to the whole group. In the background of a shell it would be ignored.
    command = ["setsid", "env", "--default-signal=INT", *SERVE]
    with serving(tmp_path, command) as (server, port), socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET /large.csv HTTP/1.1\r\nHost: a\r\n\r\n")
        assert slow.recv(1)
        os.killpg(server.pid, signal.SIGINT)
        assert server.communicate(timeout=30) == ("", "")
        assert server.returncode == 0


def test_a_missing_file_is_answered_with_the_page_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "404.html").write_text("<h1>Page not found</h1>")
    for path in ("/nothing", "/a/b/c/", "/a/downloads-30d-non-ci.svg"):
        found = ask(tmp_path, path)
        assert (found.status_code, found.text) == (404, "<h1>Page not found</h1>")
        assert found.headers["content-type"] == PAGE_TYPE
        assert (found.headers["cache-control"], found.headers["content-security-policy"]) == ("no-cache", PAGE_POLICY)


def test_the_site_is_also_at_the_path_of_its_address_unless_that_is_a_package(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text("all packages")
    (tmp_path / "a" / "index.html").write_text("a")
    assert [ask(tmp_path, path, base="/badges").text for path in ("/", "/badges/", "/badges/a/")] == [
        "all packages",
        "all packages",
        "a",
    ]
    assert ask(tmp_path, "/a/", base="/a").text == "a"


def test_the_error_names_an_unknown_or_taken_address(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    with serving(tmp_path) as (_, port):
        for host, asked, why in (
            ("192.0.2.1", "0", "Cannot assign requested address"),
            ("127.0.0.1", str(port), "Address already in use"),
        ):
            command = [*SERVE, "--host", host, "--port", asked]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 2
            assert f"{host}, port {asked}: {why}. Choose another address with --host" in done.stderr


def test_before_the_first_collect_the_error_says_to_collect(tmp_path: Path) -> None:
    done = subprocess.run(SERVE, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing is published yet. Run `winnow collect` first" in done.stderr


def test_open_opens_the_page_in_the_browser_once_it_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "index.html").write_text("the page")
    os.mkfifo(tmp_path / "opened")
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\nprintf %s \"$1\" > '{tmp_path}/opened'\n")
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    with serving(tmp_path, [*SERVE, "--host", "0.0.0.0", "--open"]) as (_, port):
        url = (tmp_path / "opened").read_text()
        assert url == f"http://127.0.0.1:{port}/"
        assert httpx.get(url).text == "the page"
