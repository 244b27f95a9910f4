"""The mirror of the buckets: what comes in, what goes out, and what must not, also when steps
overlap."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws.clients import Clients
from local_aws.mirror import Mirror
from local_aws.server import LocalAws
from local_aws.state_log import StateLog


class OfOneBucket(Mirror):
    """A mirror that sees only the bucket of its test, not those of all others on the shared
    server."""

    bucket = ""

    def buckets(self) -> list[str]:
        return [name for name in super().buckets() if name == self.bucket]


class Lake:
    """A bucket, its mirror, and how the tests look at both."""

    def __init__(self, s3: Any, mirror: OfOneBucket) -> None:
        self.s3 = s3
        self.mirror = mirror
        self.bucket = mirror.bucket = f"mirror-{uuid.uuid4().hex[:12]}"
        s3.create_bucket(Bucket=self.bucket)

    @property
    def root(self) -> Path:
        return self.mirror.root / self.bucket

    def put(self, key: str, text: str = "") -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=text.encode())

    def objects(self) -> dict[str, str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {
            item["Key"]: (
                self.s3.get_object(Bucket=self.bucket, Key=item["Key"])["Body"].read().decode()
            )
            for item in listed
        }

    def write(self, name: str, text: str = "") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def files(self) -> dict[str, str]:
        return {
            path.relative_to(self.root).as_posix(): path.read_text()
            for path in self.root.rglob("*")
            if path.is_file()
        }

    def folders(self) -> set[str]:
        return {
            path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_dir()
        }

    def notes(self) -> list[str]:
        """The copy of this bucket for a step that starts now."""
        return [
            note.removeprefix(f"s3://{self.bucket}/")
            for note in self.mirror.enter()
            if self.bucket in note
        ]


@pytest.fixture
def lake(stand_in: LocalAws, client: Callable[[str], Any], tmp_path: Path) -> Iterator[Lake]:
    made = Lake(client("s3"), OfOneBucket(Clients(stand_in.url), tmp_path / "s3"))
    yield made
    while objects := made.s3.list_objects_v2(Bucket=made.bucket).get("Contents", []):
        made.s3.delete_objects(
            Bucket=made.bucket, Delete={"Objects": [{"Key": item["Key"]} for item in objects]}
        )
    made.s3.delete_bucket(Bucket=made.bucket)


def test_objects_come_in_as_files(lake: Lake) -> None:
    lake.put("raw/a.csv", "1")
    lake.put("raw/deep/er/b é=1.csv", "2")
    lake.put("raw/" + 255 * "c", "3")
    lake.mirror.enter()
    assert lake.files() == {
        "raw/a.csv": "1",
        "raw/deep/er/b é=1.csv": "2",
        "raw/" + 255 * "c": "3",  # its checksum's name would be too long
    }


def test_an_unchanged_object_is_not_copied_again(lake: Lake) -> None:
    lake.put("a", "1")
    lake.mirror.enter()
    before = (lake.root / "a").stat().st_ino
    lake.mirror.leave()
    lake.mirror.enter()
    assert (lake.root / "a").stat().st_ino == before


def test_a_changed_object_replaces_its_file_and_its_stale_checksum(lake: Lake) -> None:
    lake.put("a", "1")
    lake.mirror.enter()
    lake.write(".a.crc", "of 1")
    lake.put("a", "2")
    lake.mirror.enter()
    assert lake.files() == {"a": "2"}


def test_a_vanished_object_takes_its_file_and_empty_folders_along(lake: Lake) -> None:
    lake.put("x/y/a", "1")
    lake.put("x/b", "1")
    lake.mirror.enter()
    lake.s3.delete_object(Bucket=lake.bucket, Key="x/y/a")
    lake.mirror.enter()
    assert (lake.files(), lake.folders()) == ({"x/b": "1"}, {"x"})


def test_new_changed_and_removed_files_go_out(lake: Lake) -> None:
    for key in ("keep", "change", "remove"):
        lake.put(key, "old")
    lake.mirror.enter()
    lake.write("out/new", "new")
    lake.write("change", "longer")
    (lake.root / "remove").unlink()
    lake.mirror.leave()
    assert lake.objects() == {"keep": "old", "change": "longer", "out/new": "new"}


def test_a_rename_is_a_new_object_and_one_less(lake: Lake) -> None:
    lake.put("staging/t/part", "1")
    lake.mirror.enter()
    (lake.root / "processed").mkdir()
    (lake.root / "staging/t").rename(lake.root / "processed/t")
    lake.mirror.leave()
    assert lake.objects() == {"processed/t/part": "1"}
    assert lake.folders() == {"processed", "processed/t"}


def test_an_uploaded_object_does_not_come_back_in(lake: Lake) -> None:
    lake.mirror.enter()
    before = lake.write("a", "1").stat().st_ino
    lake.mirror.leave()
    lake.mirror.enter()
    assert (lake.root / "a").stat().st_ino == before


def test_checksums_and_staging_never_go_out_and_do_not_stay(lake: Lake) -> None:
    lake.mirror.enter()
    lake.write("out/part-0", "1")
    lake.write("out/.part-0.crc", "crc")
    lake.write("out/_temporary/0/task/part-1", "half")
    lake.write("out/.spark-staging-77/part-2", "half")
    lake.mirror.leave()
    assert lake.objects() == {"out/part-0": "1"}
    assert (lake.files(), lake.folders()) == ({"out/part-0": "1"}, {"out"})


def test_folders_that_a_killed_job_left_empty_are_gone_for_the_next(lake: Lake) -> None:
    lake.mirror.enter()
    (lake.root / "out/_temporary/0").mkdir(parents=True)
    lake.mirror.leave()
    assert not (lake.root / "out").exists()


def test_another_steps_unfinished_work_stays_untouched(lake: Lake) -> None:
    lake.mirror.enter()
    lake.write("b/_temporary/0/part", "half")
    lake.mirror.enter()
    lake.write("a/part", "1")
    lake.mirror.leave()
    assert lake.objects() == {"a/part": "1"}
    assert "b/_temporary/0/part" in lake.files()


def test_a_step_that_starts_does_not_undo_what_another_has_done_so_far(lake: Lake) -> None:
    for key in ("changed", "removed"):
        lake.put(key, "old")
    lake.mirror.enter()
    lake.write("new", "1")
    lake.write("changed", "by the first step")
    (lake.root / "removed").unlink()
    lake.mirror.enter()
    assert lake.files() == {"new": "1", "changed": "by the first step"}
    lake.mirror.leave()
    lake.mirror.leave()
    assert lake.objects() == {"new": "1", "changed": "by the first step"}


def test_a_file_that_another_step_is_writing_waits_for_that_step(lake: Lake) -> None:
    lake.mirror.enter()
    lake.mirror.enter()
    half = lake.write("b/log", "half")
    lake.mirror.leave(lambda: {half})
    assert lake.objects() == {}
    half.write_text("whole")
    lake.mirror.leave()
    assert lake.objects() == {"b/log": "whole"}


def test_a_file_that_grew_after_it_went_out_goes_out_again(lake: Lake) -> None:
    lake.mirror.enter()
    lake.mirror.enter()
    lake.write("log", "1")
    lake.mirror.leave()
    lake.write("log", "12")
    lake.mirror.leave()
    assert lake.objects() == {"log": "12"}


def test_an_object_deleted_elsewhere_while_a_step_rewrites_its_file_lives_on_as_the_steps(
    lake: Lake,
) -> None:
    lake.put("a", "old")
    lake.mirror.enter()
    lake.write("a", "of the step")
    lake.s3.delete_object(Bucket=lake.bucket, Key="a")
    lake.mirror.enter()
    lake.mirror.leave()
    assert lake.objects() == {"a": "of the step"}


def test_a_file_of_a_running_step_is_not_overwritten_by_a_change_elsewhere(lake: Lake) -> None:
    lake.put("a", "old")
    lake.mirror.enter()
    lake.write("a", "of the step")
    lake.put("a", "from elsewhere")
    lake.mirror.enter()
    assert lake.files() == {"a": "of the step"}
    lake.mirror.leave()
    assert lake.objects() == {"a": "of the step"}


def test_where_a_and_a_slash_b_are_objects_the_folder_wins_and_both_survive(lake: Lake) -> None:
    lake.put("a", "file")
    lake.put("a/b", "deeper")
    assert lake.notes() == ["a: hidden by the objects under a/"]
    assert lake.files() == {"a/b": "deeper"}
    lake.mirror.leave()
    assert lake.objects() == {"a": "file", "a/b": "deeper"}


def test_a_file_gives_way_when_objects_appear_under_its_name(lake: Lake) -> None:
    lake.put("a", "file")
    lake.mirror.enter()
    lake.mirror.leave()
    lake.put("a/b", "deeper")
    lake.mirror.enter()
    assert lake.files() == {"a/b": "deeper"}
    lake.mirror.leave()
    assert lake.objects() == {"a": "file", "a/b": "deeper"}


@pytest.mark.parametrize("key", ["../up", "a/../../up", "a//b", "./a", "/a", "x" * 256, ".a.crc"])
def test_a_key_that_cannot_be_a_file_is_named_and_left_alone(lake: Lake, key: str) -> None:
    lake.put(key, "1")
    lake.put("good", "1")
    [note] = lake.notes()
    assert note.startswith(f"{key}: ")
    assert lake.files() == {"good": "1"}
    assert sorted(path.name for path in lake.mirror.root.parent.iterdir()) == ["s3"]
    lake.mirror.leave()
    assert set(lake.objects()) == {key, "good"}


def test_a_key_with_a_slash_at_its_end_is_a_folder(lake: Lake) -> None:
    lake.put("inbox/")
    lake.mirror.enter()
    lake.mirror.leave()
    assert lake.folders() == {"inbox"}
    assert lake.objects() == {"inbox/": ""}


def test_a_folder_object_goes_when_a_job_deletes_the_folder(lake: Lake) -> None:
    lake.put("inbox/")
    lake.put("inbox/a", "1")
    lake.mirror.enter()
    (lake.root / "inbox/a").unlink()
    (lake.root / "inbox").rmdir()
    lake.mirror.leave()
    assert lake.objects() == {}


def test_a_bucket_without_objects_is_an_empty_folder(lake: Lake) -> None:
    lake.mirror.enter()
    assert list(lake.root.iterdir()) == []


def test_refresh_makes_files_what_s3_holds(lake: Lake) -> None:
    lake.put("a", "1")
    lake.mirror.refresh()
    assert lake.files() == {"a": "1"}


def test_refresh_waits_for_no_step_and_disturbs_none(lake: Lake) -> None:
    lake.mirror.enter()
    lake.write("out/_temporary/part", "half")
    lake.mirror.refresh()
    assert lake.files() == {"out/_temporary/part": "half"}


def test_more_objects_than_a_page_come_in(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "4")
    for number in range(10):
        lake.put(f"n/{number}")
    lake.mirror.enter()
    assert len(lake.files()) == 10


@pytest.mark.all
def test_more_objects_than_a_request_may_name_are_stored_and_deleted(lake: Lake) -> None:
    lake.mirror.enter()
    for number in range(1005):
        lake.write(f"n/{number}", str(number))
    lake.mirror.leave()
    pages = lake.s3.get_paginator("list_objects_v2").paginate(Bucket=lake.bucket)
    assert sum(page["KeyCount"] for page in pages) == 1005
    lake.mirror.enter()
    for path in (lake.root / "n").iterdir():
        path.unlink()
    lake.mirror.leave()
    assert lake.objects() == {}


def test_the_state_log_has_the_objects_that_exist_and_not_those_that_were_deleted(
    lake: Lake, stand_in: LocalAws, tmp_path: Path
) -> None:
    mirror = Mirror(Clients(stand_in.url), tmp_path / "logged", StateLog(tmp_path))
    lake.put("kept")
    lake.put("deleted")
    mirror.update(lake.bucket, ["kept", "deleted"])
    lake.s3.delete_object(Bucket=lake.bucket, Key="deleted")
    mirror.update(lake.bucket, ["deleted"])
    assert list(StateLog(tmp_path).state.objects) == [f"{lake.bucket}/kept"]
