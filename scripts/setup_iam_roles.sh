#!/usr/bin/env bash
# Step 1 from a shell, from any folder: setup_iam_roles.py with the project's Python. Arguments are passed on.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
for python in "$root/.venv/bin/python" "$root/.venv/Scripts/python.exe"; do
  if [ -x "$python" ]; then
    exec "$python" "$root/scripts/setup_iam_roles.py" "$@"
  fi
done
echo "FAILED setup_iam_roles: there is no Python in $root/.venv" >&2
echo "-> Make it: python3 -m venv .venv && .venv/bin/python -m pip install -r requirements.txt" >&2
exit 2
