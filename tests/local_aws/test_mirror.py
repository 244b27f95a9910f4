"""The mirror copies objects to files before a step and files to objects after it."""

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


class SingleBucketMirror(Mirror):
    """A mirror of one test's bucket on the shared server."""

    bucket = ""

    def buckets(self) -> list[str]:
        return [name for name in super().buckets() if name == self.bucket]


class MirroredBucket:
    """A bucket, its mirror, and the tests' view of both."""

    def __init__(self, s3: Any, mirror: SingleBucketMirror) -> None:
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
        """Starts a step and returns the mirror's notes about this bucket."""
        return [
            note.removeprefix(f"s3://{self.bucket}/")
            for note in self.mirror.enter()
            if self.bucket in note
        ]


@pytest.fixture
def mirrored(
    stand_in: LocalAws, client: Callable[[str], Any], tmp_path: Path
) -> Iterator[MirroredBucket]:
    mirrored = MirroredBucket(
        client("s3"), SingleBucketMirror(Clients(stand_in.url), tmp_path / "s3")
    )
    yield mirrored
    while objects := mirrored.s3.list_objects_v2(Bucket=mirrored.bucket).get("Contents", []):
        mirrored.s3.delete_objects(
            Bucket=mirrored.bucket, Delete={"Objects": [{"Key": item["Key"]} for item in objects]}
        )
    mirrored.s3.delete_bucket(Bucket=mirrored.bucket)


def test_objects_are_copied_to_files(mirrored: MirroredBucket) -> None:
    mirrored.put("raw/a.csv", "1")
    mirrored.put("raw/deep/er/b é=1.csv", "2")
    mirrored.put("raw/" + 255 * "c", "3")
    mirrored.mirror.enter()
    assert mirrored.files() == {
        "raw/a.csv": "1",
        "raw/deep/er/b é=1.csv": "2",
        "raw/" + 255 * "c": "3",  # its checksum's name would be too long
    }


def test_an_unchanged_object_is_not_copied_twice(mirrored: MirroredBucket) -> None:
    mirrored.put("a", "1")
    mirrored.mirror.enter()
    before = (mirrored.root / "a").stat().st_ino
    mirrored.mirror.leave()
    mirrored.mirror.enter()
    assert (mirrored.root / "a").stat().st_ino == before


def test_a_changed_object_replaces_its_file_and_removes_its_checksum(
    mirrored: MirroredBucket,
) -> None:
    mirrored.put("a", "1")
    mirrored.mirror.enter()
    mirrored.write(".a.crc", "of 1")
    mirrored.put("a", "2")
    mirrored.mirror.enter()
    assert mirrored.files() == {"a": "2"}


def test_a_deleted_object_removes_its_file_and_empty_folders(mirrored: MirroredBucket) -> None:
    mirrored.put("x/y/a", "1")
    mirrored.put("x/b", "1")
    mirrored.mirror.enter()
    mirrored.s3.delete_object(Bucket=mirrored.bucket, Key="x/y/a")
    mirrored.mirror.enter()
    assert (mirrored.files(), mirrored.folders()) == ({"x/b": "1"}, {"x"})


def test_new_changed_and_removed_files_are_uploaded(mirrored: MirroredBucket) -> None:
    for key in ("keep", "change", "remove"):
        mirrored.put(key, "old")
    mirrored.mirror.enter()
    mirrored.write("out/new", "new")
    mirrored.write("change", "longer")
    (mirrored.root / "remove").unlink()
    mirrored.mirror.leave()
    assert mirrored.objects() == {"keep": "old", "change": "longer", "out/new": "new"}


def test_a_renamed_file_is_a_new_object_and_a_deleted_one(mirrored: MirroredBucket) -> None:
    mirrored.put("staging/t/part", "1")
    mirrored.mirror.enter()
    (mirrored.root / "processed").mkdir()
    (mirrored.root / "staging/t").rename(mirrored.root / "processed/t")
    mirrored.mirror.leave()
    assert mirrored.objects() == {"processed/t/part": "1"}
    assert mirrored.folders() == {"processed", "processed/t"}


def test_an_uploaded_object_is_not_copied_back(mirrored: MirroredBucket) -> None:
    mirrored.mirror.enter()
    before = mirrored.write("a", "1").stat().st_ino
    mirrored.mirror.leave()
    mirrored.mirror.enter()
    assert (mirrored.root / "a").stat().st_ino == before


def test_checksums_and_temporary_files_are_removed_and_not_uploaded(
    mirrored: MirroredBucket,
) -> None:
    mirrored.mirror.enter()
    mirrored.write("out/part-0", "1")
    mirrored.write("out/.part-0.crc", "crc")
    mirrored.write("out/_temporary/0/task/part-1", "half")
    mirrored.write("out/.spark-staging-77/part-2", "half")
    mirrored.mirror.leave()
    assert mirrored.objects() == {"out/part-0": "1"}
    assert (mirrored.files(), mirrored.folders()) == ({"out/part-0": "1"}, {"out"})


def test_empty_folders_of_a_killed_job_are_removed(mirrored: MirroredBucket) -> None:
    mirrored.mirror.enter()
    (mirrored.root / "out/_temporary/0").mkdir(parents=True)
    mirrored.mirror.leave()
    assert not (mirrored.root / "out").exists()


def test_temporary_files_of_a_running_step_are_kept(mirrored: MirroredBucket) -> None:
    mirrored.mirror.enter()
    mirrored.write("b/_temporary/0/part", "half")
    mirrored.mirror.enter()
    mirrored.write("a/part", "1")
    mirrored.mirror.leave()
    assert mirrored.objects() == {"a/part": "1"}
    assert "b/_temporary/0/part" in mirrored.files()


def test_a_starting_step_keeps_the_changes_of_a_running_step(mirrored: MirroredBucket) -> None:
    for key in ("changed", "removed"):
        mirrored.put(key, "old")
    mirrored.mirror.enter()
    mirrored.write("new", "1")
    mirrored.write("changed", "by the first step")
    (mirrored.root / "removed").unlink()
    mirrored.mirror.enter()
    assert mirrored.files() == {"new": "1", "changed": "by the first step"}
    mirrored.mirror.leave()
    mirrored.mirror.leave()
    assert mirrored.objects() == {"new": "1", "changed": "by the first step"}


def test_a_file_being_written_is_uploaded_by_the_step_that_writes_it(
    mirrored: MirroredBucket,
) -> None:
    mirrored.mirror.enter()
    mirrored.mirror.enter()
    half = mirrored.write("b/log", "half")
    mirrored.mirror.leave(lambda: {half})
    assert mirrored.objects() == {}
    half.write_text("whole")
    mirrored.mirror.leave()
    assert mirrored.objects() == {"b/log": "whole"}


def test_a_file_that_grew_after_its_upload_is_uploaded_again(mirrored: MirroredBucket) -> None:
    mirrored.mirror.enter()
    mirrored.mirror.enter()
    mirrored.write("log", "1")
    mirrored.mirror.leave()
    mirrored.write("log", "12")
    mirrored.mirror.leave()
    assert mirrored.objects() == {"log": "12"}


def test_a_rewritten_file_is_uploaded_although_its_object_was_deleted(
    mirrored: MirroredBucket,
) -> None:
    mirrored.put("a", "old")
    mirrored.mirror.enter()
    mirrored.write("a", "of the step")
    mirrored.s3.delete_object(Bucket=mirrored.bucket, Key="a")
    mirrored.mirror.enter()
    mirrored.mirror.leave()
    assert mirrored.objects() == {"a": "of the step"}


def test_a_rewritten_file_is_not_overwritten_by_a_changed_object(mirrored: MirroredBucket) -> None:
    mirrored.put("a", "old")
    mirrored.mirror.enter()
    mirrored.write("a", "of the step")
    mirrored.put("a", "from elsewhere")
    mirrored.mirror.enter()
    assert mirrored.files() == {"a": "of the step"}
    mirrored.mirror.leave()
    assert mirrored.objects() == {"a": "of the step"}


def test_an_object_hidden_by_a_folder_is_reported_and_kept(mirrored: MirroredBucket) -> None:
    mirrored.put("a", "file")
    mirrored.put("a/b", "deeper")
    assert mirrored.notes() == ["a: hidden by the objects under a/"]
    assert mirrored.files() == {"a/b": "deeper"}
    mirrored.mirror.leave()
    assert mirrored.objects() == {"a": "file", "a/b": "deeper"}


def test_a_file_is_replaced_by_a_folder_of_its_name(mirrored: MirroredBucket) -> None:
    mirrored.put("a", "file")
    mirrored.mirror.enter()
    mirrored.mirror.leave()
    mirrored.put("a/b", "deeper")
    mirrored.mirror.enter()
    assert mirrored.files() == {"a/b": "deeper"}
    mirrored.mirror.leave()
    assert mirrored.objects() == {"a": "file", "a/b": "deeper"}


@pytest.mark.parametrize("key", ["../up", "a/../../up", "a//b", "./a", "/a", "x" * 256, ".a.crc"])
def test_a_key_that_cannot_be_a_file_is_reported_and_kept(
    mirrored: MirroredBucket, key: str
) -> None:
    mirrored.put(key, "1")
    mirrored.put("good", "1")
    [note] = mirrored.notes()
    assert note.startswith(f"{key}: ")
    assert mirrored.files() == {"good": "1"}
    assert sorted(path.name for path in mirrored.mirror.root.parent.iterdir()) == ["s3"]
    mirrored.mirror.leave()
    assert set(mirrored.objects()) == {key, "good"}


def test_a_key_that_ends_with_a_slash_is_a_folder(mirrored: MirroredBucket) -> None:
    mirrored.put("inbox/")
    mirrored.mirror.enter()
    mirrored.mirror.leave()
    assert mirrored.folders() == {"inbox"}
    assert mirrored.objects() == {"inbox/": ""}


def test_a_folder_object_is_deleted_with_its_folder(mirrored: MirroredBucket) -> None:
    mirrored.put("inbox/")
    mirrored.put("inbox/a", "1")
    mirrored.mirror.enter()
    (mirrored.root / "inbox/a").unlink()
    (mirrored.root / "inbox").rmdir()
    mirrored.mirror.leave()
    assert mirrored.objects() == {}


def test_a_bucket_without_objects_is_an_empty_folder(mirrored: MirroredBucket) -> None:
    mirrored.mirror.enter()
    assert list(mirrored.root.iterdir()) == []


def test_refresh_copies_objects_to_files(mirrored: MirroredBucket) -> None:
    mirrored.put("a", "1")
    mirrored.mirror.refresh()
    assert mirrored.files() == {"a": "1"}


def test_refresh_keeps_the_files_of_a_running_step(mirrored: MirroredBucket) -> None:
    mirrored.mirror.enter()
    mirrored.write("out/_temporary/part", "half")
    mirrored.mirror.refresh()
    assert mirrored.files() == {"out/_temporary/part": "half"}


def test_objects_on_further_pages_are_copied(
    mirrored: MirroredBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "4")
    for number in range(10):
        mirrored.put(f"n/{number}")
    mirrored.mirror.enter()
    assert len(mirrored.files()) == 10


@pytest.mark.all
def test_more_objects_than_fit_one_request_are_uploaded_and_deleted(
    mirrored: MirroredBucket,
) -> None:
    mirrored.mirror.enter()
    for number in range(1005):
        mirrored.write(f"n/{number}", str(number))
    mirrored.mirror.leave()
    pages = mirrored.s3.get_paginator("list_objects_v2").paginate(Bucket=mirrored.bucket)
    assert sum(page["KeyCount"] for page in pages) == 1005
    mirrored.mirror.enter()
    for path in (mirrored.root / "n").iterdir():
        path.unlink()
    mirrored.mirror.leave()
    assert mirrored.objects() == {}


def test_the_state_log_contains_existing_objects_only(
    mirrored: MirroredBucket, stand_in: LocalAws, tmp_path: Path
) -> None:
    mirror = Mirror(Clients(stand_in.url), tmp_path / "logged", StateLog(tmp_path))
    mirrored.put("kept")
    mirrored.put("deleted")
    mirror.update(mirrored.bucket, ["kept", "deleted"])
    mirrored.s3.delete_object(Bucket=mirrored.bucket, Key="deleted")
    mirror.update(mirrored.bucket, ["deleted"])
    assert list(StateLog(tmp_path).state.objects) == [f"{mirrored.bucket}/kept"]
