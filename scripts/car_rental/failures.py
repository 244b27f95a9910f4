"""Converts exceptions of boto3, the file system and Python to errors with a remedy."""

from __future__ import annotations

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from car_rental.aws import explain, no_aws
from car_rental.config import PATH, setting_fields
from car_rental.errors import DataLakeError
from car_rental.files import DISK_FULL

# the names of the settings that hold folders, for messages
_FOLDERS = " or ".join(
    ", ".join(
        name for name, item in setting_fields().items() if item.metadata["kind"] is PATH
    ).rsplit(", ", 1)
)


def as_failure(error: Exception, where: str) -> DataLakeError:
    """Converts any exception to a DataLakeError that says where, what and what to do."""
    if isinstance(error, DataLakeError):
        return error
    if isinstance(error, (ClientError, BotoCoreError)):
        return explain(error, where)
    if isinstance(error, Boto3Error) and isinstance(
        error.__context__, (ClientError, BotoCoreError)
    ):
        return explain(error.__context__, where)  # an upload failed: AWS's response says more
    if isinstance(error, ResponseParserError):
        return no_aws(where, "its answer cannot be read")
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        place = f" for {error.filename}" if error.filename else ""
        return DataLakeError(
            where,
            f"no space left on the disk{place}.",
            f"Free some, or set the folder in .env to one on another disk: {_FOLDERS}.",
        )
    if isinstance(error, OSError) and error.filename:
        return DataLakeError(
            where,
            f"{error.filename}: {error.strerror}.",
            f"Check that it exists and that you may write there. Folders in .env: {_FOLDERS}.",
        )
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    return DataLakeError(
        where, f"{kind}: {error}", "This looks like a bug in this project; --traceback shows where."
    )
