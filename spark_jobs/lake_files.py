"""Access to the lake's files by Hadoop's FileSystem: s3://, hdfs://, file:/// and plain paths.

It needs no SparkSession. Only this module calls the JVM, through private attributes of PySpark.
"""

import json
import os
import re
import sys
from typing import Any, Dict, List

import pyspark
from contract import RUN_FOLDER, files_below
from py4j.protocol import Py4JJavaError
from pyspark import SparkContext


class Lake:
    """All file operations on the lake, except reading and writing tables."""

    def __init__(self, jvm: Any, configuration: Any) -> None:
        self._jvm = jvm
        self._configuration = configuration
        self._path = (
            jvm.org.apache.hadoop.fs.Path
        )  # looked up once: every attribute access is a round trip to the JVM

    @classmethod
    def of_session(cls, spark: Any) -> "Lake":
        return cls(spark._jvm, spark._jsc.hadoopConfiguration())

    @classmethod
    def of_gateway(cls) -> "Lake":
        """Opens the lake without a SparkSession, in a JVM with Spark's Hadoop settings.

        Such a JVM starts in a third of the time.
        """
        SparkContext._ensure_initialized()
        jvm = SparkContext._jvm  # type: Any
        return cls(jvm, jvm.org.apache.spark.deploy.SparkHadoopUtil.get().conf())

    def exists(self, uri: str) -> bool:
        return bool(self._file_system(uri).exists(self._path(uri)))

    def files(self, uri: str) -> Dict[str, int]:
        """Name and bytes of the data files in a folder.

        Readers ignore names that begin with _ or a dot, so they are left out.
        """
        statuses = [status for status in self._list(uri) if status.isFile()]
        sizes = {status.getPath().getName(): int(status.getLen()) for status in statuses}
        return {name: size for name, size in sorted(sizes.items()) if name[0] not in "_."}

    def runs(self, uri: str) -> List[str]:
        """The run ids with a folder `run_id=...` in this folder, oldest first."""
        names = [status.getPath().getName() for status in self._list(uri) if status.isDirectory()]
        return sorted(name[len(RUN_FOLDER) :] for name in names if name.startswith(RUN_FOLDER))

    def delete(self, uri: str) -> None:
        self._file_system(uri).delete(self._path(uri), True)

    def move(self, source: str, target: str) -> None:
        """Rename a folder or file to a path that does not exist yet.

        On S3 that is a copy and a delete, so it is not atomic. Raises FileNotFoundError if the
        source does not exist.
        """
        if not self.exists(source):
            raise FileNotFoundError(source)
        file_system = self._file_system(target)
        file_system.mkdirs(self._path(target).getParent())
        if not file_system.rename(self._path(source), self._path(target)):
            raise OSError(f"could not move {source} to {target}")

    def local_path(self, uri: str) -> str:
        """The path of a file on this machine, '' if it is elsewhere."""
        qualified = self._file_system(uri).makeQualified(self._path(uri)).toUri()
        return str(qualified.getPath()) if qualified.getScheme() == "file" else ""

    def ignore_checksums(self, folder: str) -> None:
        """Ignores .crc files, so that local files can be edited after Hadoop has written them.

        Spark 3.3 cannot read Parquet without checksums, so there they stay on, and an edited file
        is reported as damaged.
        """
        if self.local_path(folder) and pyspark.__version__ >= "3.4":
            self._file_system(folder).setVerifyChecksum(False)

    def tree(self, uri: str) -> Dict[str, int]:
        """All files below a folder, at any depth: relative path -> bytes.

        Hadoop skips broken links and does not detect cycles of links, so a local folder is listed
        without Hadoop.
        """
        folder = self.local_path(uri)
        if folder:
            return {path: _size(os.path.join(folder, path)) for path in files_below(folder)}
        if not self.exists(uri):
            return {}
        root = (
            self._file_system(uri)
            .getFileStatus(self._path(uri))
            .getPath()
            .toUri()
            .getPath()
            .rstrip("/")
        )
        files, found = self._file_system(uri).listFiles(self._path(uri), True), {}
        while files.hasNext():
            status = files.next()
            found[status.getPath().toUri().getPath()[len(root) + 1 :]] = int(status.getLen())
        return found

    def start(self, uri: str, count: int) -> bytes:
        """The first `count` bytes of a file, decompressed if it is gzipped.

        Raises OSError if they cannot be read.
        """
        path, io = self._path(uri), self._jvm.org.apache.commons.io
        try:
            stream = self._file_system(uri).open(path)
        except Py4JJavaError as error:
            reason = _reason(error)
            raise OSError(f"cannot be opened ({reason}): allow the job to read it") from error
        try:
            codec = self._jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(
                self._configuration
            ).getCodec(path)
            plain = codec.createInputStream(stream) if codec else stream
            return bytes(io.IOUtils.toByteArray(io.input.BoundedInputStream(plain, count)))
        except Py4JJavaError as error:
            raise OSError(
                f"cannot be read ({_reason(error)}): it is damaged, cut off or no gzip file;"
                " upload it again as .csv or .csv.gz"
            ) from error
        finally:
            stream.close()

    def copy(self, source: str, target: str) -> None:
        """Copy a file within the lake. Raises OSError on failure."""
        source_system, target_system = self._file_system(source), self._file_system(target)
        source_path, target_path = self._path(source), self._path(target)
        copy = self._jvm.org.apache.hadoop.fs.FileUtil.copy
        configuration = self._configuration
        try:
            copy(source_system, source_path, target_system, target_path, False, True, configuration)
        except Py4JJavaError as error:
            raise OSError(f"cannot be copied to {target}: {_reason(error)}") from error

    def read_text(self, uri: str) -> str:
        stream = self._file_system(uri).open(self._path(uri))
        try:
            return str(self._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
        finally:
            stream.close()

    def read_json(self, uri: str) -> Dict[str, Any]:
        return dict(json.loads(self.read_text(uri)))

    def write_json(self, uri: str, value: Dict[str, Any]) -> None:
        self._write_json(self._file_system(uri).create(self._path(uri), True), value)

    def write_new_json(self, uri: str, value: Dict[str, Any]) -> bool:
        """Create the file exclusively; return False if it exists, also if two callers race."""
        try:
            stream = self._file_system(uri).create(self._path(uri), False)
        except Py4JJavaError as error:
            if not self.exists(uri):
                raise error
            return False
        self._write_json(stream, value)
        return True

    @staticmethod
    def _write_json(stream: Any, value: Dict[str, Any]) -> None:
        try:
            stream.write(bytearray((json.dumps(value, indent=2) + "\n").encode("utf-8")))
        finally:
            stream.close()

    def _file_system(self, uri: str) -> Any:
        return self._path(uri).getFileSystem(self._configuration)

    def _list(self, uri: str) -> List[Any]:
        return list(self._file_system(uri).listStatus(self._path(uri))) if self.exists(uri) else []


def print_to_stderr(line: str) -> None:
    """Print to the JVM's stderr.

    spark-submit redirects a Python program's own stderr to stdout, where few people look for
    errors.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ and SparkContext._jvm:
        SparkContext._jvm.java.lang.System.err.println(line)
    else:
        print(line, file=sys.stderr, flush=True)


def _reason(error: Py4JJavaError) -> str:
    """The message of a Java exception in one line."""
    return " ".join(str(error.java_exception.getMessage()).split())


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.isfile(path) else 0


def join(folder: str, *names: str) -> str:
    return "/".join([folder.rstrip("/")] + list(names))


def literal(path: str) -> str:
    """A path with glob characters escaped, because Spark's readers expect a pattern."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)


def run_folder(folder: str, run_id: str) -> str:
    return join(folder, RUN_FOLDER + run_id)
