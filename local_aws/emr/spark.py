"""The command and the environment that run one PySpark application on this machine.

Starts Java as bin/spark-submit does, but without its shell scripts and the second JVM that only
builds the command. Small jobs spend most of their time on start-up and class loading; the flags and
the class archive reduce both.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_aws.java import Java
from local_aws.memory import GIGABYTE, memory_bytes

VIEW_FS = "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"
# Hadoop uses this file system for a bucket without a mount, and fails with "Could not initialize
# target File System for URI : s3://..."
NO_MOUNT_FS = "org.apache.hadoop.fs.viewfs.ViewFileSystem"
SCHEMES = ("s3", "s3a", "s3n")

# Only the first compiler, a collector without threads, no shared memory for jps: these halve the
# start-up time.
FAST_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
# internal packages of the JDK that Spark needs since Java 9
# (org.apache.spark.launcher.JavaModuleOptions).
_OPEN_PACKAGES = (
    "java.base/java.lang java.base/java.lang.invoke java.base/java.lang.reflect java.base/java.io"
    " java.base/java.net java.base/java.nio java.base/java.util java.base/java.util.concurrent"
    " java.base/java.util.concurrent.atomic java.base/jdk.internal.ref java.base/sun.nio.ch"
    " java.base/sun.nio.cs java.base/sun.security.action java.base/sun.util.calendar"
).split()

# Defaults for a small machine and small data; a job's own --conf overrides them.
DEFAULTS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}


@dataclass(frozen=True)
class Spark:
    java: Java
    home: Path
    version: str

    @classmethod
    def installed(cls, java: Java) -> Spark:
        """The PySpark of this Python environment."""
        spec = importlib.util.find_spec("pyspark")
        assert spec and spec.origin, "requirements.txt has pyspark"
        return cls(java, Path(spec.origin).parent, importlib.metadata.version("pyspark"))

    def command(
        self, arguments: Sequence[str], scratch: Path, java_flags: Iterable[str] = ()
    ) -> list[str]:
        """``spark-submit`` on all cores; ``arguments`` include the application."""
        opened = (
            [f"--add-opens={package}=ALL-UNNAMED" for package in _OPEN_PACKAGES]
            if self.java.major > 8
            else []
        )
        return [
            *(str(self.java.executable), "-cp", self.class_path, f"-Xmx{_heap_bytes() >> 20}m"),
            *(
                *FAST_START,
                *java_flags,
                *opened,
                "-Djdk.reflect.useDirectMethodHandle=false",
                f"-Djava.io.tmpdir={scratch / 'tmp'}",
            ),
            *("org.apache.spark.deploy.SparkSubmit", "--master", "local[*]"),
            *conf(
                DEFAULTS
                | {
                    "spark.local.dir": str(scratch / "tmp"),
                    "spark.sql.warehouse.dir": warehouse(scratch).as_uri(),
                }
            ),
            *arguments,
        ]

    @property
    def class_path(self) -> str:
        return f"{self.home / 'jars'}/*"

    def environment(self, scratch: Path, endpoint_url: str) -> dict[str, str]:
        """Every environment variable of a Spark job."""
        inherited = node_environment(scratch, endpoint_url)
        pythons = dict.fromkeys(("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"), sys.executable)
        return {
            **inherited,
            **pythons,
            "PATH": f"{self.java.executable.parent}:{inherited['PATH']}",
            "JAVA_HOME": str(self.java.home),
            "SPARK_HOME": str(self.home),
            "SPARK_LOCAL_IP": "127.0.0.1",
        }


def node_environment(scratch: Path, endpoint_url: str) -> dict[str, str]:
    """A node's environment: without the user's AWS settings, and in UTC as on EMR."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(scratch),
        "TMPDIR": str(scratch / "tmp"),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "*",
    }


def mounts(mirror: Path, buckets: Iterable[str]) -> list[str]:
    """Options that mount ``<mirror>/<bucket>`` as ``s3://<bucket>/``."""
    settings = {f"spark.hadoop.fs.{scheme}.impl": VIEW_FS for scheme in SCHEMES}
    settings |= {
        f"spark.hadoop.fs.viewfs.overload.scheme.target.{scheme}.impl": NO_MOUNT_FS
        for scheme in SCHEMES
    }
    settings |= {
        f"spark.hadoop.fs.viewfs.mounttable.{name}.linkFallback": (mirror / name).as_uri()
        for name in buckets
    }
    return conf(settings)


def conf(settings: Mapping[str, str]) -> list[str]:
    """``settings`` as options of spark-submit."""
    return [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]


def warehouse(scratch: Path) -> Path:
    """The folder to which ``saveAsTable`` writes."""
    return scratch / "spark-warehouse"


def _heap_bytes() -> int:
    """A quarter of the memory, because two steps may run at once, and at most 4 GB.

    On a machine on which steps run one at a time (``steps_at_once``): three eighths.
    """
    memory = memory_bytes()
    if steps_at_once(memory) == 1:
        return max(memory * 3 // 8, GIGABYTE // 2)
    return min(memory // 4, 4 * GIGABYTE)


def steps_at_once(memory: int) -> int:
    """One below 4 GB of memory, because each driver and this server need 1 GB besides heaps."""
    return 1 if memory < 4 * GIGABYTE else 64
