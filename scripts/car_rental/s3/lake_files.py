"""The files that go from here to the lake: the raw data of DATA_DIR and the sources of the Spark jobs."""

from __future__ import annotations

from dataclasses import dataclass, field

from car_rental.aws import Aws
from car_rental.data_contract import contract, job_files
from car_rental.display.console import Console
from car_rental.s3.lake_bucket import bucket_exists, object_keys
from car_rental.s3.raw_data import RawData, raw_files_there, require_headers
from car_rental.s3.uploads import Upload, UploadResult, changed, upload_all


@dataclass(frozen=True)
class EnvironmentResult:
    """The bucket, what was changed about it, and what was uploaded."""

    bucket: str
    changes: list[str]
    uploads: UploadResult
    not_read: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        """One line for the end of a run."""
        made = "created" if "created" in self.changes else ", ".join(self.changes) or "as it was"
        return f"s3://{self.bucket} {made}; {self.uploads.summary()}"


def raw_data_here(aws: Aws) -> RawData:
    """The raw files of DATA_DIR; raises ``DataLakeError`` for those whose header is not the contract's."""
    raw = raw_files_there(aws.settings.data_dir)
    require_headers(raw)
    return raw


def files_here(raw: RawData) -> list[Upload]:
    """Each raw file and each source of a Spark job, and its key."""
    uploads = [Upload(path, raw.key(path)) for paths in raw.files.values() for path in paths]
    return uploads + [Upload(path, f"jobs/{path.name}") for path in job_files()]


def bring_files(aws: Aws, console: Console, raw: RawData | None = None) -> UploadResult:
    """Sends every file that differs from its object; raw data that lies in the lake alone stays there, and is named.

    ``raw``: the raw data, if the caller has looked through it already.
    """
    raw = raw or raw_data_here(aws)
    uploads = files_here(raw)
    result = upload_all(aws, uploads, console)
    for name, reason in raw.not_read.items():
        console.warn(f"{raw.folder / name} is not read: it {reason}.")
    _name_strangers(aws, console, uploads)
    return result


def warn_of_differences(aws: Aws, console: Console) -> None:
    """Says which files here are not as they are in the lake, for somebody who works with those in the lake."""
    differing = [upload.key for upload in changed(aws, files_here(raw_data_here(aws)))]
    if differing:
        more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
        names = f"{', '.join(differing[:3])}{more}"
        console.warn(f"{names} here differ from those in the lake, which are used. --upload brings them.")


def _name_strangers(aws: Aws, console: Console, uploads: list[Upload]) -> None:
    """Raw objects that did not come from this folder: the jobs read them all the same."""
    settings = aws.settings
    keys = object_keys(aws, settings.s3_bucket_name, "raw/") if bucket_exists(aws) else []
    known = {upload.key for upload in uploads}
    found = contract.raw_files(key.removeprefix("raw/") for key in keys if not key.endswith("/"))
    for key in [f"raw/{name}" for names in found.read.values() for name in names]:
        if key not in known:
            console.warn(
                f"{settings.s3(key)} is not in {settings.data_dir}, but counts as raw data: delete it if it is out of date."
            )
