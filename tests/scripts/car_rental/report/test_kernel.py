"""The notebook's kernel runs this Python, passes Ctrl-C to the cell and leaves no process."""

from __future__ import annotations

import _thread
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest
from car_rental.errors import DataLakeError
from car_rental.report.kernel import CellError, Kernel


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A HOME that does not exist, and a user's kernel named python3 that cannot start."""
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        json.dumps({"argv": ["/bin/false"], "display_name": "broken", "language": "python"})
    )
    return {
        **os.environ,
        "HOME": str(tmp_path / "nowhere"),
        "JUPYTER_PATH": str(tmp_path / "jupyter"),
        "CI": "true",
    }


def test_cells_share_their_state_and_run_in_this_python(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_PATH", environ["JUPYTER_PATH"])
    with Kernel(tmp_path, environ) as kernel:
        assert kernel.run("import os, sys; answer = 6 * 7") == []
        (output,) = kernel.run("f'{answer} {sys.executable} {os.getcwd()}'")
        assert output["data"]["text/plain"] == repr(f"42 {sys.executable} {tmp_path}")
        (printed,) = kernel.run("print('a\\nb')")
        assert (printed["output_type"], printed["text"]) == ("stream", "a\nb\n")
        process = int(kernel.run("os.getpid()")[0]["data"]["text/plain"])
    assert not Path(f"/proc/{process}").exists() or not Path("/proc").exists()
    assert not (tmp_path / "nowhere").exists()


def test_a_failed_cell_raises_its_error_with_the_outputs_before_it(
    environ: dict[str, str], tmp_path: Path
) -> None:
    with Kernel(tmp_path, environ) as kernel:
        with pytest.raises(CellError, match="ZeroDivisionError: division by zero") as caught:
            kernel.run("print('before'); 1 / 0")
        assert [output["text"] for output in caught.value.outputs] == ["before\n"]
        assert kernel.run("'goes on'")


def test_ctrl_c_interrupts_the_cell_which_cleans_up(
    environ: dict[str, str], tmp_path: Path
) -> None:
    marker = tmp_path / "cleaned"
    cell = (
        "import time, pathlib\ntry:\n    time.sleep(60)\nfinally:\n   "
        f" pathlib.Path({str(marker)!r}).touch()"
    )
    began = time.monotonic()
    with Kernel(tmp_path, environ) as kernel:
        threading.Timer(1.0, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            kernel.run(cell)
    assert marker.exists()
    assert time.monotonic() - began < 30


def test_a_kernel_that_dies_raises_an_error(environ: dict[str, str], tmp_path: Path) -> None:
    with Kernel(tmp_path, environ) as kernel, pytest.raises(DataLakeError, match="died"):
        kernel.run("import os; os._exit(1)")
