"""deploy/: Caddy serves like `winnow serve`, the units are valid and hardened, the container files agree."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from dagster import Shape
from dagster._config import process_config
from dagster_k8s import K8sRunLauncher

from winnow_dagster.config.loading import load_settings
from winnow_dagster.serve import FILE_POLICY, HEADERS, PAGE_POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
PASSWORD = "a long password"
HASH = "$2a$14$QUv/CR9yWImVPevwV2evCOutd4q0aPkBvSK1oSHLBEK4CEE6wQfSO"
"""The output of `caddy hash-password` for it."""

needs_caddy = pytest.mark.skipif(shutil.which("caddy") is None, reason="Caddy is not installed: apt install caddy")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture
def public(tmp_path: Path) -> Path:
    folder = tmp_path / "public"
    (folder / "a").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "index.html").write_text("<h1>Badges</h1>")
    (folder / "a" / "index.html").write_text("<p>a</p>" * 400)
    (folder / "discord.py").mkdir()
    (folder / "discord.py" / "index.html").write_text("<p>discord.py</p>")
    (folder / "a" / "badge.json").write_text("{}")
    (folder / "a" / "badge.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "a" / "history.csv").write_text("date\r\n")
    (folder / "a" / ".winnow-1-aa").write_text("staged")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@dataclass
class Caddy:
    """Where Caddy answers for the badges, and for the Dagster UI."""

    site: str
    ui: str


@pytest.fixture
def caddy(tmp_path: Path, public: Path) -> Iterator[Caddy]:
    """Serve by the Caddyfile on loopback, without its HTTPS; the UI beside it, as the last lines say."""
    site, ui = f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{free_port()}"
    file = tmp_path / "Caddyfile"
    text = (DEPLOY / "Caddyfile").read_text().replace("\tservers {", "\tadmin off\n\tservers {", 1)
    file.write_text(f'{text}\nimport "{DEPLOY}/Caddyfile.ui"\n')
    names = {"WINNOW_SITE": site, "WINNOW_PUBLIC": str(public), "WINNOW_UI": ui, "WINNOW_UI_HASH": HASH}
    homes = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(tmp_path))
    command = ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]
    with subprocess.Popen(command, env=names | homes | {"PATH": "/usr/bin:/bin"}, stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        started = any(b"serving initial configuration" in line for line in server.stderr)
        assert started
        yield Caddy(site, ui)
        server.terminate()


@needs_caddy
@pytest.mark.parametrize("path", ["/", "/a/", "/discord.py/", "/a/badge.json", "/a/badge.svg", "/a/history.csv"])
def test_caddy_sends_the_headers_that_winnow_serve_sends(caddy: Caddy, path: str) -> None:
    found = httpx.get(caddy.site + path)
    assert found.status_code == 200
    assert {name: found.headers[name] for name in HEADERS} == HEADERS
    assert found.headers["content-security-policy"] == (PAGE_POLICY if path.endswith("/") else FILE_POLICY)
    assert found.headers.get("access-control-allow-origin") == (None if path.endswith("/") else "*")
    assert "server" not in found.headers
    again = httpx.get(caddy.site + path, headers={"If-None-Match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"] == found.headers["content-security-policy"]


@needs_caddy
def test_caddy_compresses_for_clients_that_accept_it(caddy: Caddy) -> None:
    packed = httpx.get(f"{caddy.site}/a/", headers={"Accept-Encoding": "gzip"})
    plain = httpx.get(f"{caddy.site}/a/", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content == b"<p>a</p>" * 400


@needs_caddy
def test_caddy_refuses_write_methods_and_redirects_to_the_page(caddy: Caddy) -> None:
    head = httpx.head(f"{caddy.site}/a/badge.json")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "2", b"")
    for method in ("POST", "PUT", "DELETE"):
        answer = httpx.request(method, f"{caddy.site}/a/badge.json")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert httpx.get(f"{caddy.site}/a").headers["location"].endswith("/a/")


@needs_caddy
def test_caddy_serves_published_files_only(caddy: Caddy) -> None:
    host, port = caddy.site.removeprefix("http://").split(":")
    for path in (
        "/a/.winnow-1-aa", "/a/%2ewinnow-1-aa", "/empty/", "/nothing", "/../secret.txt", "/..%2fsecret.txt",
        "/%2e%2e/secret.txt", "/a/%2e%2e/%2e%2e/secret.txt", "/%252e%252e/secret.txt", "/a/..%5c..%5csecret.txt",
        "/a%00/badge.json",
    ):  # fmt: skip
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda connection=connection: connection.recv(65536), b""))  # type: ignore[misc]
        assert answer.split(b" ")[1] in {b"404", b"400"}, path
        assert b"secret" not in answer
        assert b"staged" not in answer
        assert b"max-age" not in answer


@needs_caddy
def test_caddy_answers_for_a_missing_file_with_the_page_that_says_so(caddy: Caddy, public: Path) -> None:
    assert httpx.get(f"{caddy.site}/nothing").text == "404 Not Found"
    (public / "404.html").write_text("<h1>Page not found</h1>")
    for path in ("/nothing", "/a/b/c/", "/a/downloads-30d-non-ci.svg"):
        found = httpx.get(caddy.site + path)
        assert (found.status_code, found.text) == (404, "<h1>Page not found</h1>")
        assert found.headers["content-security-policy"] == PAGE_POLICY
        assert "cache-control" not in found.headers
    assert httpx.post(f"{caddy.site}/nothing").status_code == 405


@needs_caddy
def test_the_dagster_ui_asks_for_a_password_and_is_served_only_if_imported(caddy: Caddy) -> None:
    text = (DEPLOY / "Caddyfile").read_text()
    assert re.search(r"^# import Caddyfile\.ui$", text, re.MULTILINE)
    assert "reverse_proxy" not in text
    assert httpx.get(caddy.ui).status_code == 401
    assert httpx.get(caddy.ui, auth=("winnow", "another")).status_code == 401
    # With the password one gets through, be it to nothing that listens there.
    assert httpx.get(caddy.ui, auth=("winnow", PASSWORD)).status_code != 401


@needs_caddy
@pytest.mark.parametrize("name", ["Caddyfile", "Caddyfile.ui"])
def test_caddy_accepts_each_file_unchanged(name: str, tmp_path: Path) -> None:
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / name)]
    homes = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(tmp_path))
    environment = homes | {"PATH": "/usr/bin:/bin", "WINNOW_UI_HASH": HASH}
    subprocess.run(command, check=True, capture_output=True, env=environment)


def directives(unit: Path) -> dict[str, list[str]]:
    """Return what a unit says, by section and name, each time that it says it."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(f"{section}.{name}", []).append(value)
    return found


@needs_systemd
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        # The programs are where the README puts them; here any program will do.
        (tmp_path / unit.name).write_text(re.sub(r"(?<=ExecStart=)\S+", "/bin/true", unit.read_text()))
    units = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert not [line for line in done.stderr.splitlines() if "winnow" in line]
    assert done.returncode == 0


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_systemd_finds_each_service_hardened(unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_no_service_runs_as_root_and_the_ui_listens_on_loopback_as_a_user_of_its_own() -> None:
    said = {unit.stem: directives(unit) for unit in SERVICES}
    users = {name: found["Service.User"][0] for name, found in said.items()}
    assert users == {"winnow-collect": "winnow", "winnow-daemon": "winnow", "winnow-webserver": "winnow-web"}
    assert "--host 127.0.0.1" in said["winnow-webserver"]["Service.ExecStart"][0]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_each_service_starts_a_program_that_an_installation_has(unit: Path) -> None:
    program = Path(directives(unit)["Service.ExecStart"][0].split()[0])
    assert program.parent == Path("/opt/winnow/.venv/bin")
    assert (Path(sys.executable).parent / program.name).exists()


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def test_the_compose_file_declares_what_its_services_use(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"postgres", "daemon", "webserver", "caddy"}
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert source in {"./winnow.yaml", "./Caddyfile"}
            else:
                assert source in compose["volumes"]
    wanted = set(re.findall(r"env: (\w+)", (DEPLOY / "dagster.postgres.yaml").read_text()))
    for name in ("daemon", "webserver"):
        assert wanted <= set(services[name]["environment"])


def test_only_caddys_container_can_be_reached_from_other_machines(compose: dict[str, Any]) -> None:
    ports = {name: service.get("ports", []) for name, service in compose["services"].items()}
    assert ports["webserver"] == ["127.0.0.1:3000:3000"]
    assert ports["caddy"] == ["80:80", "443:443"]
    assert ports["postgres"] == ports["daemon"] == []


@pytest.fixture(scope="module")
def cluster() -> dict[tuple[str, str], dict[str, Any]]:
    objects = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


LAUNCHER: dict[str, Any] = yaml.safe_load((DEPLOY / "dagster.kubernetes.yaml").read_text())["run_launcher"]["config"]


def test_kubernetes_objects_refer_only_to_objects_that_exist(
    cluster: dict[tuple[str, str], dict[str, Any]],
) -> None:
    maps = {name for kind, name in cluster if kind == "ConfigMap"} | {LAUNCHER["instance_config_map"]}
    set_there = set(cluster["ConfigMap", "winnow-environment"]["data"]) | {"WINNOW_POSTGRES_PASSWORD"}
    text = (DEPLOY / "dagster.kubernetes.yaml").read_text()
    assert set(re.findall(r"env: (\w+)", text)) <= set_there
    for (kind, _), each in cluster.items():
        if kind != "Deployment":
            continue
        pod = each["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert ("ServiceAccount", pod["serviceAccountName"]) in cluster
        assert {volume["configMap"]["name"] for volume in pod["volumes"]} <= maps
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert container["envFrom"][0]["configMapRef"]["name"] in LAUNCHER["env_config_maps"]
        assert container["envFrom"][1]["secretRef"]["name"] in LAUNCHER["env_secrets"]
        assert container["env"] == [{"name": "DAGSTER_HOME", "value": LAUNCHER["dagster_home"]}]
    assert {volume["configMap"]["name"] for volume in LAUNCHER["volumes"]} <= maps
    assert ("ServiceAccount", LAUNCHER["service_account_name"]) in cluster


def test_dagsters_launcher_accepts_its_config(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WINNOW_IMAGE", "WINNOW_NAMESPACE"):
        monkeypatch.setenv(name, "x")
    schema = Shape(K8sRunLauncher.config_type())  # type: ignore[no-untyped-call]
    checked = process_config(schema, LAUNCHER)
    assert checked.success, checked.errors


def test_the_config_on_kubernetes_is_valid(cluster: dict[tuple[str, str], dict[str, Any]], tmp_path: Path) -> None:
    text = cluster["ConfigMap", "winnow-config"]["data"]["winnow.yaml"]
    for name in ("PUBLIC-BUCKET", "DATA-BUCKET", "PROJECT"):
        text = text.replace(name, "my-" + name.lower())
    (tmp_path / "winnow.yaml").write_text(text)
    settings = load_settings(tmp_path / "winnow.yaml")
    assert str(settings.output_dir) == "gs://my-public-bucket"
    assert str(settings.store_folder) == "gs://my-data-bucket/winnow/bigquery"


def test_the_image_holds_the_checkout_and_runs_as_an_unprivileged_user() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    for line in lines:
        if line.startswith("COPY"):
            assert all((ROOT / source).exists() for source in line.split()[1:-1]), line
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users == ["winnow"]
    assert not any("gcp" in line or "PASSWORD" in line for line in lines)
