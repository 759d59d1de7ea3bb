# Shared by the shell scripts of this folder; source it, do not run it. Plain enough for the bash 3.2 of macOS.

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
environment="$repository/.venv"
cache_root="${XDG_CACHE_HOME:-$HOME/.cache}/openledger"

say() { printf '==> %s\n' "$*" >&2; }

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Prints the path of an interpreter that is Python >= 3.11. OPENLEDGER_PYTHON decides when it is set. Otherwise 3.12
# and 3.11 come first: every locked package has a ready-made wheel for them.
find_python() {
    local candidate
    for candidate in ${OPENLEDGER_PYTHON:-python3.12 python3.11 python3 python3.13 python3.14 python}; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    if [ -n "${OPENLEDGER_PYTHON:-}" ]; then
        fail "OPENLEDGER_PYTHON=$OPENLEDGER_PYTHON is not Python 3.11 or newer with venv; set it to one that is, or unset it"
    fi
    fail "Python 3.11 or newer with its venv module is needed and none was found on PATH;" \
        "install one (on Debian: python3 and python3-venv), or set OPENLEDGER_PYTHON to its path"
}

# digest FILE... : one SHA-256 over the names and contents of the files and the text on standard input.
digest() {
    "${python:-python3}" -c '
import hashlib, pathlib, sys
digest = hashlib.sha256()
for name in sys.argv[1:]:
    content = pathlib.Path(name).read_bytes()
    digest.update(f"{pathlib.Path(name).name} {len(content)}\n".encode() + content)
digest.update(sys.stdin.buffer.read())
print(digest.hexdigest())' "$@"
}
