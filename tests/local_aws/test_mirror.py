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
        self.name = mirror.bucket = f"mirror-{uuid.uuid4().hex[:12]}"
        s3.create_bucket(Bucket=self.name)

    @property
    def root(self) -> Path:
        return self.mirror.root / self.name

    def put(self, key: str, text: str = "") -> None:
        self.s3.put_object(Bucket=self.name, Key=key, Body=text.encode())

    def objects(self) -> dict[str, str]:
        listed = self.s3.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {
            item["Key"]: (
                self.s3.get_object(Bucket=self.name, Key=item["Key"])["Body"].read().decode()
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
            note.removeprefix(f"s3://{self.name}/")
            for note in self.mirror.enter()
            if self.name in note
        ]


@pytest.fixture
def bucket(
    stand_in: LocalAws, client: Callable[[str], Any], tmp_path: Path
) -> Iterator[MirroredBucket]:
    bucket = MirroredBucket(
        client("s3"), SingleBucketMirror(Clients(stand_in.url), tmp_path / "s3")
    )
    yield bucket
    while objects := bucket.s3.list_objects_v2(Bucket=bucket.name).get("Contents", []):
        bucket.s3.delete_objects(
            Bucket=bucket.name, Delete={"Objects": [{"Key": item["Key"]} for item in objects]}
        )
    bucket.s3.delete_bucket(Bucket=bucket.name)


def test_objects_are_copied_to_files(bucket: MirroredBucket) -> None:
    bucket.put("raw/a.csv", "1")
    bucket.put("raw/deep/er/b é=1.csv", "2")
    bucket.put("raw/" + 255 * "c", "3")
    bucket.mirror.enter()
    assert bucket.files() == {
        "raw/a.csv": "1",
        "raw/deep/er/b é=1.csv": "2",
        "raw/" + 255 * "c": "3",  # its checksum's name would be too long
    }


def test_an_unchanged_object_is_not_copied_twice(bucket: MirroredBucket) -> None:
    bucket.put("a", "1")
    bucket.mirror.enter()
    before = (bucket.root / "a").stat().st_ino
    bucket.mirror.leave()
    bucket.mirror.enter()
    assert (bucket.root / "a").stat().st_ino == before


def test_a_changed_object_replaces_its_file_and_removes_its_checksum(
    bucket: MirroredBucket,
) -> None:
    bucket.put("a", "1")
    bucket.mirror.enter()
    bucket.write(".a.crc", "of 1")
    bucket.put("a", "2")
    bucket.mirror.enter()
    assert bucket.files() == {"a": "2"}


def test_a_deleted_object_removes_its_file_and_empty_folders(bucket: MirroredBucket) -> None:
    bucket.put("x/y/a", "1")
    bucket.put("x/b", "1")
    bucket.mirror.enter()
    bucket.s3.delete_object(Bucket=bucket.name, Key="x/y/a")
    bucket.mirror.enter()
    assert (bucket.files(), bucket.folders()) == ({"x/b": "1"}, {"x"})


def test_new_changed_and_removed_files_are_uploaded(bucket: MirroredBucket) -> None:
    for key in ("keep", "change", "remove"):
        bucket.put(key, "old")
    bucket.mirror.enter()
    bucket.write("out/new", "new")
    bucket.write("change", "longer")
    (bucket.root / "remove").unlink()
    bucket.mirror.leave()
    assert bucket.objects() == {"keep": "old", "change": "longer", "out/new": "new"}


def test_a_renamed_file_is_a_new_object_and_a_deleted_one(bucket: MirroredBucket) -> None:
    bucket.put("staging/t/part", "1")
    bucket.mirror.enter()
    (bucket.root / "processed").mkdir()
    (bucket.root / "staging/t").rename(bucket.root / "processed/t")
    bucket.mirror.leave()
    assert bucket.objects() == {"processed/t/part": "1"}
    assert bucket.folders() == {"processed", "processed/t"}


def test_an_uploaded_object_is_not_copied_back(bucket: MirroredBucket) -> None:
    bucket.mirror.enter()
    before = bucket.write("a", "1").stat().st_ino
    bucket.mirror.leave()
    bucket.mirror.enter()
    assert (bucket.root / "a").stat().st_ino == before


def test_checksums_and_temporary_files_are_removed_and_not_uploaded(bucket: MirroredBucket) -> None:
    bucket.mirror.enter()
    bucket.write("out/part-0", "1")
    bucket.write("out/.part-0.crc", "crc")
    bucket.write("out/_temporary/0/task/part-1", "half")
    bucket.write("out/.spark-staging-77/part-2", "half")
    bucket.mirror.leave()
    assert bucket.objects() == {"out/part-0": "1"}
    assert (bucket.files(), bucket.folders()) == ({"out/part-0": "1"}, {"out"})


def test_empty_folders_of_a_killed_job_are_removed(bucket: MirroredBucket) -> None:
    bucket.mirror.enter()
    (bucket.root / "out/_temporary/0").mkdir(parents=True)
    bucket.mirror.leave()
    assert not (bucket.root / "out").exists()


def test_temporary_files_of_a_running_step_are_kept(bucket: MirroredBucket) -> None:
    bucket.mirror.enter()
    bucket.write("b/_temporary/0/part", "half")
    bucket.mirror.enter()
    bucket.write("a/part", "1")
    bucket.mirror.leave()
    assert bucket.objects() == {"a/part": "1"}
    assert "b/_temporary/0/part" in bucket.files()


def test_a_starting_step_keeps_the_changes_of_a_running_step(bucket: MirroredBucket) -> None:
    for key in ("changed", "removed"):
        bucket.put(key, "old")
    bucket.mirror.enter()
    bucket.write("new", "1")
    bucket.write("changed", "by the first step")
    (bucket.root / "removed").unlink()
    bucket.mirror.enter()
    assert bucket.files() == {"new": "1", "changed": "by the first step"}
    bucket.mirror.leave()
    bucket.mirror.leave()
    assert bucket.objects() == {"new": "1", "changed": "by the first step"}


def test_a_file_being_written_is_uploaded_by_the_step_that_writes_it(
    bucket: MirroredBucket,
) -> None:
    bucket.mirror.enter()
    bucket.mirror.enter()
    half = bucket.write("b/log", "half")
    bucket.mirror.leave(lambda: {half})
    assert bucket.objects() == {}
    half.write_text("whole")
    bucket.mirror.leave()
    assert bucket.objects() == {"b/log": "whole"}


def test_a_file_that_grew_after_its_upload_is_uploaded_again(bucket: MirroredBucket) -> None:
    bucket.mirror.enter()
    bucket.mirror.enter()
    bucket.write("log", "1")
    bucket.mirror.leave()
    bucket.write("log", "12")
    bucket.mirror.leave()
    assert bucket.objects() == {"log": "12"}


def test_a_rewritten_file_is_uploaded_although_its_object_was_deleted(
    bucket: MirroredBucket,
) -> None:
    bucket.put("a", "old")
    bucket.mirror.enter()
    bucket.write("a", "of the step")
    bucket.s3.delete_object(Bucket=bucket.name, Key="a")
    bucket.mirror.enter()
    bucket.mirror.leave()
    assert bucket.objects() == {"a": "of the step"}


def test_a_rewritten_file_is_not_overwritten_by_a_changed_object(bucket: MirroredBucket) -> None:
    bucket.put("a", "old")
    bucket.mirror.enter()
    bucket.write("a", "of the step")
    bucket.put("a", "from elsewhere")
    bucket.mirror.enter()
    assert bucket.files() == {"a": "of the step"}
    bucket.mirror.leave()
    assert bucket.objects() == {"a": "of the step"}


def test_an_object_hidden_by_a_folder_is_reported_and_kept(bucket: MirroredBucket) -> None:
    bucket.put("a", "file")
    bucket.put("a/b", "deeper")
    assert bucket.notes() == ["a: hidden by the objects under a/"]
    assert bucket.files() == {"a/b": "deeper"}
    bucket.mirror.leave()
    assert bucket.objects() == {"a": "file", "a/b": "deeper"}


def test_a_file_is_replaced_by_a_folder_of_its_name(bucket: MirroredBucket) -> None:
    bucket.put("a", "file")
    bucket.mirror.enter()
    bucket.mirror.leave()
    bucket.put("a/b", "deeper")
    bucket.mirror.enter()
    assert bucket.files() == {"a/b": "deeper"}
    bucket.mirror.leave()
    assert bucket.objects() == {"a": "file", "a/b": "deeper"}


@pytest.mark.parametrize("key", ["../up", "a/../../up", "a//b", "./a", "/a", "x" * 256, ".a.crc"])
def test_a_key_that_cannot_be_a_file_is_reported_and_kept(bucket: MirroredBucket, key: str) -> None:
    bucket.put(key, "1")
    bucket.put("good", "1")
    [note] = bucket.notes()
    assert note.startswith(f"{key}: ")
    assert bucket.files() == {"good": "1"}
    assert sorted(path.name for path in bucket.mirror.root.parent.iterdir()) == ["s3"]
    bucket.mirror.leave()
    assert set(bucket.objects()) == {key, "good"}


def test_a_key_that_ends_with_a_slash_is_a_folder(bucket: MirroredBucket) -> None:
    bucket.put("inbox/")
    bucket.mirror.enter()
    bucket.mirror.leave()
    assert bucket.folders() == {"inbox"}
    assert bucket.objects() == {"inbox/": ""}


def test_a_folder_object_is_deleted_with_its_folder(bucket: MirroredBucket) -> None:
    bucket.put("inbox/")
    bucket.put("inbox/a", "1")
    bucket.mirror.enter()
    (bucket.root / "inbox/a").unlink()
    (bucket.root / "inbox").rmdir()
    bucket.mirror.leave()
    assert bucket.objects() == {}


def test_a_bucket_without_objects_is_an_empty_folder(bucket: MirroredBucket) -> None:
    bucket.mirror.enter()
    assert list(bucket.root.iterdir()) == []


def test_refresh_copies_objects_to_files(bucket: MirroredBucket) -> None:
    bucket.put("a", "1")
    bucket.mirror.refresh()
    assert bucket.files() == {"a": "1"}


def test_refresh_keeps_the_files_of_a_running_step(bucket: MirroredBucket) -> None:
    bucket.mirror.enter()
    bucket.write("out/_temporary/part", "half")
    bucket.mirror.refresh()
    assert bucket.files() == {"out/_temporary/part": "half"}


def test_objects_on_further_pages_are_copied(
    bucket: MirroredBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "4")
    for number in range(10):
        bucket.put(f"n/{number}")
    bucket.mirror.enter()
    assert len(bucket.files()) == 10


@pytest.mark.all
def test_more_objects_than_fit_one_request_are_uploaded_and_deleted(bucket: MirroredBucket) -> None:
    bucket.mirror.enter()
    for number in range(1005):
        bucket.write(f"n/{number}", str(number))
    bucket.mirror.leave()
    pages = bucket.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name)
    assert sum(page["KeyCount"] for page in pages) == 1005
    bucket.mirror.enter()
    for path in (bucket.root / "n").iterdir():
        path.unlink()
    bucket.mirror.leave()
    assert bucket.objects() == {}


def test_the_state_log_contains_existing_objects_only(
    bucket: MirroredBucket, stand_in: LocalAws, tmp_path: Path
) -> None:
    mirror = Mirror(Clients(stand_in.url), tmp_path / "logged", StateLog(tmp_path))
    bucket.put("kept")
    bucket.put("deleted")
    mirror.update(bucket.name, ["kept", "deleted"])
    bucket.s3.delete_object(Bucket=bucket.name, Key="deleted")
    mirror.update(bucket.name, ["deleted"])
    assert list(StateLog(tmp_path).state.objects) == [f"{bucket.name}/kept"]
