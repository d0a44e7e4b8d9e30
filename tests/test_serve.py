"""Serving: published files with what browsers and caches need, on loopback, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.serving import SERVE, serving
from winnow_dagster.recent_answers import LARGEST_KEPT, MOST_KEPT, RecentAnswers
from winnow_dagster.serve import FILE_POLICY, PAGE_POLICY, make_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SVG = "<svg xmlns='http://www.w3.org/2000/svg'/>"


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    public = tmp_path / "public"
    (public / "a").mkdir(parents=True)
    (public / "empty").mkdir()
    (public / "index.html").write_text("<h1>Badges</h1>")
    (public / "a" / "index.html").write_text("<p>a</p>" * 200)
    (public / "a" / "badge.json").write_text("{}")
    (public / "a" / "badge.svg").write_text(SVG)
    (public / "a" / "history.csv").write_text("date\r\n")
    (public / "a" / ".winnow-1-aa").write_text("staged")
    (tmp_path / "secret.txt").write_text("secret")
    (public / "a" / "out").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "winnow.yaml").write_text("packages: [{name: a}]")
    with serving(tmp_path) as (_, port), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/a/", "text/html; charset=utf-8"),
        ("/a/badge.json", "application/json"),
        ("/a/badge.svg", "image/svg+xml"),
        ("/a/history.csv", "text/csv; charset=utf-8"),
    ],
)
def test_files_are_served_with_their_types_and_for_five_minutes(client: httpx.Client, path: str, kind: str) -> None:
    found = client.get(path)
    assert (found.status_code, found.headers["content-type"]) == (200, kind)
    assert found.headers["cache-control"] == "public, max-age=300"
    assert found.headers["x-content-type-options"] == "nosniff"
    is_page = kind.startswith("text/html")
    assert found.headers["content-security-policy"] == (PAGE_POLICY if is_page else FILE_POLICY)
    assert found.headers.get("access-control-allow-origin") == (None if is_page else "*")


def test_what_has_not_changed_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/a/")
    again = client.get("/a/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    # A browser takes these in place of those that it kept.
    for name in ("cache-control", "content-security-policy", "x-content-type-options"):
        assert again.headers[name] == first.headers[name]
    assert client.get("/a/", headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_file_that_is_replaced_is_served_as_it_is_now(client: httpx.Client, tmp_path: Path) -> None:
    badge = tmp_path / "public" / "a" / "badge.json"
    for n in range(20):
        staged = tmp_path / "staged"
        staged.write_text(f'{{"n":{n}}}')
        staged.replace(badge)
        # The second time it is the answer that was kept.
        assert [client.get("/a/badge.json").json() for _ in range(2)] == [{"n": n}] * 2


def test_an_answer_that_was_kept_is_for_those_only_who_ask_the_same(client: httpx.Client) -> None:
    plain, packed = ({"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip"})
    for _ in range(2):
        first = client.get("/a/", headers=plain)
        assert "content-encoding" not in first.headers
        assert client.get("/a/", headers=packed).headers["content-encoding"] == "gzip"
        assert client.get("/a/", headers=plain | {"If-None-Match": first.headers["etag"]}).status_code == 304
        part = client.get("/a/", headers=plain | {"Range": "bytes=1-3"})
        assert (part.status_code, part.text) == (206, first.text[1:4])
        assert client.head("/a/", headers=plain).content == b""
        assert client.post("/a/").status_code == 405


def test_what_was_kept_goes_with_its_file(client: httpx.Client, tmp_path: Path) -> None:
    folder = tmp_path / "public" / "a"
    for name in ("badge.json", "badge.svg"):
        assert [client.get(f"/a/{name}").status_code for _ in range(2)] == [200, 200]
    (folder / "badge.json").unlink()
    (folder / "badge.svg").unlink()
    (folder / "badge.svg").symlink_to(tmp_path / "secret.txt")
    assert [client.get(f"/a/{name}").status_code for name in ("badge.json", "badge.svg")] == [404, 404]


def test_no_more_answers_are_kept_than_fit(tmp_path: Path) -> None:
    for n in range(MOST_KEPT + 10):
        (tmp_path / f"{n}.json").write_text("{}")
    (tmp_path / "large.json").write_bytes(bytes(LARGEST_KEPT + 1))
    app = make_app(tmp_path)
    assert isinstance(app, RecentAnswers)

    async def ask_for_all() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
            for path in ("large", *range(MOST_KEPT + 10)):
                assert (await client.get(f"/{path}.json")).status_code == 200

    asyncio.run(ask_for_all())
    assert len(app.kept) == MOST_KEPT
    assert not any("large" in path for path, _ in app.kept)


def test_of_two_lists_of_encodings_only_the_first_is_heard_and_nothing_is_kept(client: httpx.Client) -> None:
    for _ in range(2):
        twice = client.get("/a/", headers=[("Accept-Encoding", "identity"), ("Accept-Encoding", "gzip")])
        assert twice.status_code == 200
        assert client.get("/a/", headers={"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"


def test_text_is_compressed_for_those_who_take_it(client: httpx.Client) -> None:
    packed = client.get("/a/", headers={"Accept-Encoding": "gzip"})
    plain = client.get("/a/", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert "Accept-Encoding" in packed.headers["vary"]


def test_a_head_is_answered_as_a_get_without_its_body(client: httpx.Client) -> None:
    found = client.head("/a/badge.json")
    assert (found.status_code, found.content) == (200, b"")
    assert found.headers["content-length"] == "2"


def test_nobody_can_write(client: httpx.Client) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, "/a/badge.json").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
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
    ],
)
def test_nothing_that_is_not_published_is_served(client: httpx.Client, path: str) -> None:
    # Raw: a client would tidy the path before it is sent.
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] == b"404"
    assert b"secret" not in answer
    assert b"staged" not in answer


def test_it_listens_on_loopback_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    for options, address in (([], "http://127.0.0.1:"), (["--host", "0.0.0.0"], "http://0.0.0.0:")):
        with subprocess.Popen([*SERVE, *options], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert address in server.stdout.readline()
            server.terminate()


def test_an_address_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    done = subprocess.run([*SERVE, "--host", "192.0.2.1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "192.0.2.1, port 0: Cannot assign requested address. Choose another address with --host" in done.stderr


def test_without_anything_published_it_says_what_to_do_first(tmp_path: Path) -> None:
    done = subprocess.run(SERVE, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nothing is published yet. Run `winnow collect` first" in done.stderr
