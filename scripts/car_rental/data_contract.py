"""The data contract for the scripts: `from car_rental.data_contract import contract`.

The contract is the one module that jobs and scripts share. It lies among the jobs, because it ships with them.
"""

from __future__ import annotations

import sys

from car_rental.config import ROOT

sys.path.append(str(ROOT / "spark_jobs"))  # behind the scripts' own modules

import contract as contract  # noqa: E402, PLC0414 - re-exported
