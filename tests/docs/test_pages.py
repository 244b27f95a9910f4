"""The pages are up to date: generated blocks, and every command, path, flag, setting and link."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from car_rental.config import ROOT, setting_fields
from documents import commands
from documents.blocks import BLOCKS
from documents.pages import block_names, filled, pages
from support.repository import text_files

PAGES = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in pages()}
BLOCKS_OF_A_RUN = {"time of a run", "sample"}  # blocks that only write_docs.py --run generates
PROGRAMS = {"python", "make", "jupyter", "cp", "git", "aws", "pip", "."}
# first parts of paths that exist only after a run, here and in the bucket
CREATED_BY_RUNS = set("data runs reports out .venv .env .local_aws iam_roles.json".split())
CREATED_BY_RUNS |= set("raw clean rejected staging processed logs jobs athena-results".split())
# a user's own data, and a namespace of CloudWatch
NO_PATHS = {
    "users/",
    "users.csv",
    "vehicles.csv",
    "locations.csv",
    "rental_transactions.csv",
    "AWS/States",
}
VARIABLES = {"AWS_SHARED_CREDENTIALS_FILE", "NO_PROXY"}  # environment variables of other programs
# names that the worked example adds
NAMES_OF_EXAMPLES = {"months.sql", "monthly_metrics", "rental_month", "v1.2.0"}


def prose(name: str) -> str:
    """A page without its generated blocks."""
    return re.sub(r"<!-- made: [^\n]+ -->\n.*?<!-- end -->", "", PAGES[name], flags=re.DOTALL)


def spans(name: str) -> list[str]:
    """The code spans of a page, except messages with placeholders (tested elsewhere)."""
    text = re.sub(r"```.*?```", "", prose(name), flags=re.DOTALL)
    return [span for span in re.findall(r"`([^`\n]+)`", text) if "…" not in span]


def command_lines(name: str) -> Iterator[list[str]]:
    """The commands in a page's shell blocks and text, as words without leading settings."""
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
def test_every_generated_block_has_a_generator_and_is_not_empty(name: str) -> None:
    assert set(block_names(PAGES[name])) <= BLOCKS.keys() | BLOCKS_OF_A_RUN
    assert len(block_names(PAGES[name])) == PAGES[name].count("<!-- made: ") - PAGES[name].count(
        "`<!-- made: "
    )
    assert "-->\n<!-- end -->" not in PAGES[name]


def test_every_generator_is_used_in_a_page() -> None:
    assert {
        block for text in PAGES.values() for block in block_names(text)
    } == BLOCKS.keys() | BLOCKS_OF_A_RUN


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
    """Checks the script and flags of a `python` command, or the paths that pytest runs."""
    flags = {word.split("=")[0] for word in words[1:] if word.startswith("--")}
    if words[1:3] == ["-m", "pytest"]:
        assert all((ROOT / word).exists() for word in words[3:] if "/" in word), words
        return
    script = commands.LOCAL_AWS if words[1:3] == ["-m", "local_aws"] else words[1]
    assert script in [*commands.scripts(), commands.LOCAL_AWS], words
    assert flags <= commands.flags(script), words


@pytest.mark.parametrize("name", PAGES)
def test_every_flag_belongs_to_a_script(name: str) -> None:
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
            and span.split("/")[0] not in CREATED_BY_RUNS
            and span.split("/")[-1] not in NAMES_OF_EXAMPLES
        ):
            assert exists(span, Path(name).parent), f"{name} names {span}"


def exists(path: str, folder: Path) -> bool:
    """Tells whether the path exists below the root, the page's folder or scripts/."""
    return any(
        list(ROOT.glob(f"{place}{path.rstrip('/')}")) for place in ("", f"{folder}/", "scripts/")
    )


@pytest.mark.parametrize("name", PAGES)
def test_every_setting_exists(name: str) -> None:
    settings = {
        found[1] for span in spans(name) if (found := re.match(r"([A-Z][A-Z0-9_]+)=", span))
    }
    assert settings <= setting_fields().keys() | VARIABLES


@pytest.fixture(scope="module")
def sources() -> str:
    """The text of all sources, without the documents."""
    return "\n".join(text for name, text in text_files().items() if not name.endswith(".md"))


@pytest.mark.parametrize("name", PAGES)
def test_every_name_in_a_page_occurs_in_the_sources(name: str, sources: str) -> None:
    known = set(re.findall(r"\w+", sources)) | NAMES_OF_EXAMPLES
    text = prose(name).split("## What AWS says")[0]
    named = {
        span for span in spans(name) if re.fullmatch(r"[A-Za-z_]\w*", span) and f"`{span}`" in text
    }
    code = "".join(re.findall(r"```(?:python|sql)\n(.*?)```", prose(name), flags=re.DOTALL))
    assert named | set(re.findall(r"[A-Za-z_]\w*", code)) <= known


@pytest.mark.parametrize("name", PAGES)
def test_every_link_has_a_target(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[name]):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text(encoding="utf-8")), target


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
