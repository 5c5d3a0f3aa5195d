# Sourced by the scripts: makes .venv with the pinned packages, once for each requirements.txt; `run NAME` starts
# scripts/NAME.py with it.
PROJECT=$(cd "$(dirname "$0")/.." && pwd)
PYTHON=$PROJECT/.venv/bin/python

say() { printf '\033[2m%s\033[0m\n' "$*" >&2; }

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

find_python() {
    for candidate in python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

install_python() {
    command -v apt-get >/dev/null || { echo "setup: Python 3.11 or later with venv is needed; install it and run this again" >&2; exit 1; }
    say "installing Python"
    as_root apt-get update -q >/dev/null
    as_root apt-get install -y -q --no-install-recommends python3 python3-venv >/dev/null
}

set_up() {
    wanted=$(sha256sum "$PROJECT/requirements.txt" | cut -d' ' -f1)
    [ "$(cat "$PROJECT/.venv/.requirements" 2>/dev/null)" != "$wanted" ] || return 0
    base=$(find_python) || { install_python; base=$(find_python); } ||
        { echo "setup: this system has no Python 3.11 or later (Debian 12 and Ubuntu 24.04 have)" >&2; exit 1; }
    say "installing the project's Python packages into .venv (once)"
    [ -x "$PYTHON" ] || "$base" -m venv --clear "$PROJECT/.venv"
    "$PYTHON" -m pip install -q --disable-pip-version-check --require-hashes -r "$PROJECT/requirements.txt"
    echo "$wanted" > "$PROJECT/.venv/.requirements"
}

run() {
    script=$1
    shift
    PYTHONPATH=$PROJECT exec "$PYTHON" -m "scripts.$script" "$@"
}

set_up
