"""The files to upload: the raw data in DATA_DIR and the sources of the Spark jobs."""

from __future__ import annotations

from dataclasses import dataclass, field

from car_rental.aws import Aws
from car_rental.changes import Change
from car_rental.data_contract import contract, job_files
from car_rental.display.console import Console
from car_rental.s3.lake_bucket import bucket_exists, object_keys
from car_rental.s3.raw_data import RawData, list_raw_files, require_headers
from car_rental.s3.uploads import Upload, UploadResult, changed, upload_all


@dataclass(frozen=True)
class EnvironmentResult:
    """The result of step 2: the bucket, its changes, and the uploads."""

    bucket: str
    changes: list[Change]
    uploads: UploadResult
    not_read: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """One line for the summary."""
        return f"s3://{self.bucket} {self.changes[0].done}; {self.uploads.summary()}"


def local_raw_data(aws: Aws) -> RawData:
    """The raw files in DATA_DIR.

    Raises ``DataLakeError`` for headers that break the data contract.
    """
    raw = list_raw_files(aws.settings.data_dir)
    require_headers(raw)
    return raw


def local_files(raw: RawData) -> list[Upload]:
    """The raw files and the sources of the Spark jobs, each with its key."""
    uploads = [Upload(path, raw.key(path)) for paths in raw.files.values() for path in paths]
    return uploads + [Upload(path, f"jobs/{path.name}") for path in job_files()]


def upload_files(aws: Aws, console: Console, raw: RawData | None = None) -> UploadResult:
    """Uploads every file that differs from its object.

    Warns about raw data that exists only in the lake, and leaves it there.

    ``raw``: the raw data, if the caller has read the folder already.
    """
    raw = raw or local_raw_data(aws)
    uploads = local_files(raw)
    result = upload_all(aws, uploads, console)
    for name, reason in raw.not_read.items():
        console.warn(f"{raw.folder / name} is not read: it {reason}.")
    _warn_about_other_raw_data(aws, console, uploads)
    return result


def warn_of_differences(aws: Aws, console: Console) -> None:
    """Warns about local files that differ: a run without --upload uses the copies in the lake."""
    differing = [upload.key for upload in changed(aws, local_files(local_raw_data(aws)))]
    if differing:
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        names = f"{', '.join(differing[:3])}{more}"
        console.warn(
            f"{names} here differ from those in the lake, which are used. --upload uploads them."
        )


def _warn_about_other_raw_data(aws: Aws, console: Console, uploads: list[Upload]) -> None:
    """Warns about raw objects that did not come from DATA_DIR: the jobs read them too."""
    settings = aws.settings
    keys = object_keys(aws, settings.s3_bucket_name, "raw/") if bucket_exists(aws) else []
    uploaded = {upload.key for upload in uploads}
    found = contract.raw_files(key.removeprefix("raw/") for key in keys if not key.endswith("/"))
    for key in [f"raw/{name}" for names in found.read.values() for name in names]:
        if key not in uploaded:
            console.warn(
                f"{settings.s3(key)} is not in {settings.data_dir}, but counts as raw data: delete"
                " it if it is out of date."
            )
    for name, reason in found.refused.items():
        console.warn(f"{settings.s3(f'raw/{name}')} {reason}. No run can begin while it is there.")
