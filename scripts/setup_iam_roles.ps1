# Step 1 from PowerShell, from any folder: setup_iam_roles.py with the project's Python. Arguments are passed on.
$root = Split-Path -Parent $PSScriptRoot
foreach ($name in '.venv/Scripts/python.exe', '.venv/bin/python') {
    $python = Join-Path $root $name
    if (Test-Path $python) {
        & $python (Join-Path $root 'scripts/setup_iam_roles.py') @args
        exit $LASTEXITCODE
    }
}
[Console]::Error.WriteLine("FAILED setup_iam_roles: there is no Python in $root/.venv")
[Console]::Error.WriteLine('-> Make it: py -3.11 -m venv .venv; .venv/Scripts/python -m pip install -r requirements.txt')
exit 2
