"""What the documentation says is so: its commands run, its paths and links exist, its tables agree
with the sources, its examples are valid.
"""
import os
import pathlib
import re
import shlex
import subprocess

import fixtures
import gateway as gateway_module
import pytest
import requests
from gateway import Gateway

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.path.abspath(gateway_module.PROGRAM)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGE_NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

# Commands of ours that are not run, and why. The key is the whole command.
NOT_RUN = {
    "deploy/quickstart": "installs packages and stays in the foreground; test/run has deploy/quickstart --check",
    "spangate": "stays in the foreground; every integration test starts one",
}


def text_of(page):
    return page.read_text(encoding="utf-8")


def commands_of(page):
    """The commands in the `sh` blocks of a page, continuation lines joined, comments away."""
    commands = []
    for block in re.findall(r"^```sh\n(.*?)^```", text_of(page), re.M | re.S):
        if "<<" in block:
            block = re.sub(r"<<'?(\w+)'?\n.*?\n\1\n", "\n", block, flags=re.S)
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"(^|\s)# .*", "", line).strip()
            if line:
                commands.append(re.sub(r"\s+", " ", line))
    return commands


def is_ours(command):
    # NAME=value in front belongs to it.
    words = command.split(" ")
    while len(words) > 1 and re.fullmatch(r"[A-Z_]+=\S*", words[0]) and "$(" not in words[0]:
        words = words[1:]
    return bool(re.match(r"(build/release/)?spangate\b|deploy/|curl\b|TRACE=\$\(spangate\b", " ".join(words)))


OURS = sorted({(str(page.relative_to(ROOT)), command) for page in PAGES for command in commands_of(page) if is_ours(command)})


def canonical(command):
    return command.replace("build/release/spangate", "spangate")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A gateway with what the demo sends, and the data folder of one that was stopped."""
    folder = tmp_path_factory.mktemp("docs")
    with Gateway(folder / "stopped"):
        pass
    with Gateway(folder / "running", idle="600s") as gw:
        demo = subprocess.run(
            [PROGRAM, "demo", "--endpoint", gw.http()], capture_output=True, text=True, timeout=60, check=True
        )
        gw.demo_trace = demo.stdout.split()[0]
        gw.wait_finalized(gw.demo_trace)
        gw.stopped_data = str(folder / "stopped" / "data")
        # A trace that stays open, for the example that finishes one.
        request = fixtures.f10b()
        answer = requests.post(gw.http("/v1/traces"), json=fixtures.to_json(request), timeout=10)
        assert answer.status_code == 200
        gw.open_trace = fixtures.trace_id(1).hex()
        yield gw


@pytest.mark.parametrize("page, command", OURS, ids=[f"{page}: {command}" for page, command in OURS])
def test_a_command_of_the_documentation_works(running, tmp_path, page, command):
    command = canonical(command)
    if command in NOT_RUN:
        pytest.skip(NOT_RUN[command])
    # A server would stay: whether its configuration is valid can be said.
    command = re.sub(r"\bspangate (serve )?(?=--config)", "spangate validate ", command)
    for port, here in (("16686", running.query()), ("4318", running.http()), ("13133", running.health())):
        command = command.replace(f"http://localhost:{port}", here)
    command = re.sub(r"\bspangate demo\b(?! --endpoint)", f"spangate demo --endpoint {running.http()}", command)
    command = re.sub(r"\bspangate trace (\S+)", rf"spangate trace \1 --endpoint {running.query()}", command)
    command = re.sub(r"=…(?= )", "=something", command)
    if command.startswith("curl"):
        command += " --fail-with-body"

    names = tmp_path / "bin"
    names.mkdir()
    (names / "spangate").symlink_to(PROGRAM)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    (tmp_path / "my.yaml").write_text("spangate: {retention: 24h}\n", encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": f"{names}:{os.environ['PATH']}",
        "TRACE": running.open_trace if "/finish" in command else running.demo_trace,
        **GIVEN,
        "STATE_DIRECTORY": running.stopped_data,
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )
    assert done.returncode == 0, f"{shlex.quote(command)}\n{done.stdout}{done.stderr}"
    assert done.stdout or done.stderr or command.startswith("TRACE="), "it says something"


def slug(heading):
    """The anchor of a heading as web pages of repositories make it."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def anchors(page):
    return {slug(heading.replace("`", "")) for heading in re.findall(r"^#+ (.+)$", text_of(page), re.M)}


@pytest.mark.parametrize("page", PAGES, ids=PAGE_NAMES)
def test_links_of_a_page_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target} does not exist"
        if anchor:
            assert anchor in anchors(linked), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=PAGE_NAMES)
def test_paths_that_a_page_names_exist(page):
    pattern = r"(?<![\w./$}~:-])((?:src|include|test|deploy|docs|proto)/[\w./-]*)(?![\w<*…])"
    for path in re.findall(pattern, text_of(page)):
        path = path.rstrip(".")
        assert (ROOT / path).exists(), f"{path} does not exist"


@pytest.mark.parametrize("page", [*PAGES, pathlib.Path(__file__).with_name("rows_test.py")], ids=[*PAGE_NAMES, "rows_test.py"])
def test_tests_that_are_named_exist(page):
    """`folder/file_test.c::name` is below test/unit, `file_test.py::name` in a folder of Python tests."""
    for file, name in re.findall(r"((?:[a-z_0-9]+/)?[a-z_0-9]+_test\.(?:c|py))::(\w+)", text_of(page)):
        if file.endswith(".c"):
            candidates = [ROOT / "test/unit" / file]
        else:
            candidates = [ROOT / "test" / folder / file for folder in ("integration", "interop")]
        found = [path for path in candidates if path.exists()]
        assert found, f"{file} does not exist"
        assert re.search(rf"\b{name}\b", text_of(found[0])), f"{file} has no {name}"


# --- tables ---


def table_rows(page, first_cell):
    """Rows of the tables whose first cell matches: lists of cells."""
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text_of(page).splitlines() if line.startswith("|")]
    return [row for row in rows if re.fullmatch(first_cell, row[0])]


def test_the_table_of_answers_is_that_of_the_program():
    source = (ROOT / "src/otlp/status.c").read_text(encoding="utf-8")
    codes = {name: int(value) for name, value in re.findall(r"\b(RPC_\w+) = (\d+)", source)}
    rows = re.findall(r"\{ERR_(\w+), (\d+), (RPC_\w+), (\d+), (RPC_\w+)\}", source)
    program = {
        error.lower(): (int(http), codes[body], codes[grpc], retry != "0") for error, http, grpc, retry, body in rows
    }
    assert program.pop("none")[0] == 200
    # Told as `unavailable`.
    assert program.pop("corrupt") == program.pop("in_use") == program["unavailable"]
    documented = {}
    for row in table_rows(ROOT / "docs/errors.md", r"`\w+`"):
        grpc = int(re.search(r"\((\d+)\)", row[3]).group(1))
        documented[row[0].strip("`")] = (int(row[1]), int(row[2]), grpc, row[4] == "tries again")
    assert documented == program


def test_the_exit_codes_are_those_of_the_program():
    source = (ROOT / "src/daemon/commands.h").read_text(encoding="utf-8")
    program = {int(code) for code in re.findall(r"EXIT_\w+ = (\d+)", source)}
    for page in ("docs/errors.md", "docs/operations.md"):
        assert {int(row[0]) for row in table_rows(ROOT / page, r"\d{1,2}")} == program, page


def test_the_query_api_names_every_endpoint():
    source = (ROOT / "src/query/query.c").read_text(encoding="utf-8")
    endpoints = re.findall(r'\{"(/api/[^"]*)", (NULL|"[^"]*"), "(GET|POST)"', source)
    assert len(endpoints) >= 13
    api = text_of(ROOT / "docs/api.md")
    for before, after, method in endpoints:
        end = "" if after == "NULL" else after.strip('"')
        # A name in the middle: {id}, {service}, … for "anything".
        middle = "" if after == "NULL" else r"(\{\w+\}|…)"
        assert re.search(rf"{method} {re.escape(before)}{middle}{re.escape(end)}[`\n]", api), (method, before, after)


# --- examples ---


def run(*arguments, **environment):
    inherited = {key: value for key, value in os.environ.items() if key != "MONOSCOPE_KEY"}
    return subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False,
        env={**inherited, **environment},
    )


# What examples ask the environment for.
GIVEN = {"MONOSCOPE_KEY": "a key", "BACKEND": "https://tempo.example:4318"}
EXAMPLES = sorted((ROOT / "deploy/config").glob("*.yaml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_an_example_is_valid(example):
    done = run("validate", "--config", str(example), **GIVEN)
    assert done.returncode == 0, done.stderr
    assert "configuration is valid" in done.stderr


def test_monoscope_without_its_key_is_refused_with_the_reason():
    for key in ({}, {"MONOSCOPE_KEY": ""}):
        done = run("validate", "--config", str(ROOT / "deploy/config/monoscope.yaml"), **key)
        assert done.returncode == 78
        assert "x-api-key" in done.stderr


def test_examples_leave_our_ports_to_us():
    """A backend on the same host cannot have 4317 and 4318 too."""
    for example in EXAMPLES:
        shown = run("print-config", "--config", str(example), **GIVEN)
        assert shown.returncode == 0, shown.stderr
        exporters = shown.stdout.split("\nexporters:\n")[1].split("\nservice:\n")[0]
        backends = re.findall(r"endpoint: \"?(?:https?://)?([^:\s\"]+):(\d+)", exporters)
        assert backends, f"{example.name} names no backend"
        here = {port for host, port in backends if host in ("localhost", "127.0.0.1")}
        assert not {"4317", "4318"} & here, f"{example.name} sends to our own ports"
