"""The available memory respects a container's limit, in both versions of control groups."""

from pathlib import Path

import pytest

from local_aws.memory import GIGABYTE, in_words, memory_bytes

MACHINE = memory_bytes(Path("/nonexistent"))


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("sys/fs/cgroup/memory.max", f"{GIGABYTE}\n", GIGABYTE),
        ("sys/fs/cgroup/memory.max", "max\n", MACHINE),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", f"{GIGABYTE}\n", GIGABYTE),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n", MACHINE),
        ("sys/fs/cgroup/a/memory.max", f"{GIGABYTE}\n", GIGABYTE),
    ],
)
def test_a_container_s_limit_applies_if_there_is_one(
    tmp_path: Path, file: str, text: str, expected: int
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/a/b\n")
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    assert memory_bytes(tmp_path) == expected


def test_memory_is_described_in_gigabytes() -> None:
    assert in_words(2 * GIGABYTE) == "2.0 GB"
