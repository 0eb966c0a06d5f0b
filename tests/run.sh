#!/bin/sh
# Installs what the tests need, then runs every test of the workspace. Arguments go to `cargo test`:
#
#     sh tests/run.sh                  everything
#     sh tests/run.sh architecture     only tests whose name contains it
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
WHARF_TEST_PEERS=${WHARF_TEST_PEERS:-$here/.peers}
export WHARF_TEST_PEERS

need() {
    command -v "$1" >/dev/null 2>&1 || {
        echo "tests: $1 is missing" >&2
        echo "tests: $2" >&2
        exit 69
    }
}

need cargo "install Rust 1.95 or newer: https://rustup.rs"
need cc "install a C compiler; SQLite, zstd and ring are built from source (Debian: apt-get install gcc libc6-dev)"
sh "$here/peers.sh" test

cd "$here/.."
echo "tests: cargo test --workspace $*"
exec cargo test --workspace "$@"
