"""The documents say what is: made blocks are up to date, and every command, path, flag, setting and
link exists."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from car_rental.config import ROOT, setting_fields
from documents import commands
from documents.blocks import BLOCKS
from documents.pages import block_names, filled, pages

PAGES = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in pages()}
OF_A_RUN = {"time of a run", "sample"}  # blocks that only write_docs.py --run makes
PROGRAMS = {"python", "make", "jupyter", "cp", "git", "aws", "pip", "."}
# first parts of paths that only a run makes: folders here and in the bucket
MADE = set("data runs reports out .venv .env .local_aws iam_roles.json".split())
MADE |= set("raw clean rejected staging processed logs jobs athena-results".split())
# somebody's own data; a name in CloudWatch
NO_PATHS = {
    "users/",
    "users.csv",
    "vehicles.csv",
    "locations.csv",
    "rental_transactions.csv",
    "AWS/States",
}
VARIABLES = {"AWS_SHARED_CREDENTIALS_FILE", "NO_PROXY"}  # of the environment, for other programs
ABSENT = {"months.sql", "monthly_metrics", "rental_month", "v1.2.0"}  # what an example adds


def prose(name: str) -> str:
    """A page without its made blocks, which come from the program itself."""
    return re.sub(r"<!-- made: [^\n]+ -->\n.*?<!-- end -->", "", PAGES[name], flags=re.DOTALL)


def spans(name: str) -> list[str]:
    """The text between backticks on a page. Messages with placeholders have a test of their own."""
    text = re.sub(r"```.*?```", "", prose(name), flags=re.DOTALL)
    return [span for span in re.findall(r"`([^`\n]+)`", text) if "…" not in span]


def command_lines(name: str) -> Iterator[list[str]]:
    """The commands that a page names, in its blocks of shell and in its text, as words without
    settings in front."""
    shell = "\n".join(re.findall(r"```bash\n(.*?)```", prose(name), flags=re.DOTALL)).splitlines()
    inline = [
        span
        for span in spans(name)
        if re.match(r"(python|make|jupyter|git|pip|aws|[A-Z_]+=\S+ python) ", span)
    ]
    for line in [*shell, *inline]:
        words = shlex.split(line.removeprefix(".venv/bin/"), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words:
            yield words


@pytest.mark.parametrize("name", PAGES)
def test_generated_parts_of_a_page_are_up_to_date(name: str) -> None:
    assert PAGES[name] == filled(PAGES[name], BLOCKS), "run: make docs"


@pytest.mark.parametrize("name", PAGES)
def test_every_block_is_known_and_not_empty(name: str) -> None:
    assert set(block_names(PAGES[name])) <= BLOCKS.keys() | OF_A_RUN
    assert len(block_names(PAGES[name])) == PAGES[name].count("<!-- made: ") - PAGES[name].count(
        "`<!-- made: "
    )
    assert "-->\n<!-- end -->" not in PAGES[name]


def test_every_block_is_in_a_page() -> None:
    assert {
        block for text in PAGES.values() for block in block_names(text)
    } == BLOCKS.keys() | OF_A_RUN


@pytest.mark.parametrize("name", PAGES)
def test_every_command_exists_with_its_flags(name: str) -> None:
    for words in command_lines(name):
        assert words[0] in PROGRAMS, words
        if words[0] == "make":
            assert {
                word for word in words[1:] if "=" not in word
            } <= commands.make_targets().keys(), words
        if words[0] == "python":
            check_python(words)
        if words[0] == "jupyter":
            assert (ROOT / words[2]).is_file(), words


def check_python(words: list[str]) -> None:
    """A script of ours and its flags, a module that it runs, or the tests that pytest runs."""
    flags = {word.split("=")[0] for word in words[1:] if word.startswith("--")}
    if words[1:3] == ["-m", "pytest"]:
        assert all((ROOT / word).exists() for word in words[3:] if "/" in word), words
        return
    script = commands.LOCAL_AWS if words[1:3] == ["-m", "local_aws"] else words[1]
    assert script in [*commands.scripts(), commands.LOCAL_AWS], words
    assert flags <= commands.flags(script), words


@pytest.mark.parametrize("name", PAGES)
def test_every_flag_is_one_of_a_script(name: str) -> None:
    known = {
        flag
        for script in [*commands.scripts(), commands.LOCAL_AWS]
        for flag in commands.flags(script)
    } | JOB_FLAGS
    named = {found[0] for span in spans(name) if (found := re.match(r"--[a-z][a-z-]+", span))}
    assert named <= known


JOB_FLAGS = set(
    re.findall(
        r'"(--[a-z-]+)"', "".join(path.read_text() for path in (ROOT / "spark_jobs").glob("*.py"))
    )
)


@pytest.mark.parametrize("name", PAGES)
def test_every_path_exists(name: str) -> None:
    for span in spans(name):
        is_path = re.fullmatch(
            r"[\w.*-]+(/[\w.*-]+)+/?|[\w-]+/|[\w.-]+\.(py|md|sql|ipynb|json|txt|toml|sh|ps1|svg|csv|gz)",
            span,
        )
        if (
            is_path
            and span not in NO_PATHS
            and span.split("/")[0] not in MADE
            and span.split("/")[-1] not in ABSENT
        ):
            assert exists(span, Path(name).parent), f"{name} names {span}"


def exists(path: str, folder: Path) -> bool:
    """Returns whether there is such a file from the root or the page; short folder names may be
    packages of scripts/."""
    return any(
        list(ROOT.glob(f"{place}{path.rstrip('/')}")) for place in ("", f"{folder}/", "scripts/")
    )


@pytest.mark.parametrize("name", PAGES)
def test_every_setting_exists(name: str) -> None:
    given = {found[1] for span in spans(name) if (found := re.match(r"([A-Z][A-Z0-9_]+)=", span))}
    assert given <= setting_fields().keys() | VARIABLES


@pytest.fixture(scope="module")
def sources() -> str:
    """All sources of the project, without the documents."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    names = [
        name
        for name in listed.stdout.splitlines()
        if not name.endswith(".md") and (ROOT / name).is_file()
    ]
    if not names:
        pytest.skip("no git repository here")
    return "\n".join((ROOT / name).read_text(encoding="utf-8", errors="replace") for name in names)


@pytest.mark.parametrize("name", PAGES)
def test_every_name_is_one_of_the_project_s(name: str, sources: str) -> None:
    known = set(re.findall(r"\w+", sources)) | ABSENT
    text = prose(name).split("## What AWS says")[0]
    named = {
        span for span in spans(name) if re.fullmatch(r"[A-Za-z_]\w*", span) and f"`{span}`" in text
    }
    code = "".join(re.findall(r"```(?:python|sql)\n(.*?)```", prose(name), flags=re.DOTALL))
    assert named | set(re.findall(r"[A-Za-z_]\w*", code)) <= known


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[name]):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
