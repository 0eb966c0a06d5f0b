#!/bin/sh
# Installs what the tests need, then runs every test of the workspace, and those that run a hub on each of the
# storages that a hub can have. Arguments go to `cargo test`, which then runs once:
#
#     sh tests/run.sh                  everything
#     sh tests/run.sh architecture     only tests whose name contains it
#     WHARF_TEST_LOG=jetstream WHARF_TEST_DATABASE=postgres sh tests/run.sh api::
#                                      the same on a real nats-server and a real PostgreSQL
#
# Disks that are full or lose their power take root and loop devices (and mkfs.ext4), and the example in JavaScript
# takes Node.js 20 with npm. Without, those tests are skipped, named and counted.
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

# Tests that need more than this machine or this user has say so there, and are counted at the end.
WHARF_TEST_SKIPPED=$(mktemp)
export WHARF_TEST_SKIPPED
skipped() {
    echo "tests: $(wc -l <"$WHARF_TEST_SKIPPED") skipped"
    sort -u "$WHARF_TEST_SKIPPED"
    rm -f "$WHARF_TEST_SKIPPED"
}
trap skipped EXIT

cd "$here/.."
if [ $# -gt 0 ]; then
    echo "tests: log on ${WHARF_TEST_LOG:-sqlite}, views and vault on ${WHARF_TEST_DATABASE:-sqlite}: cargo test --workspace $*"
    cargo test --workspace "$@"
    exit
fi

echo "tests: 1 of 4: log on sqlite, views and vault on sqlite; everything"
cargo test --workspace

# What runs a hub, on the other storages. The rest chooses its storage itself, or has none.
hubs() {
    echo "tests: $1 of 4: log on $2, views and vault on $3; what runs a hub"
    WHARF_TEST_LOG=$2 WHARF_TEST_DATABASE=$3 cargo test --workspace --test it -- \
        --skip architecture:: --skip conformance:: --skip nodes:: --skip subscribers:: \
        --skip chaos::clocks --skip chaos::damage --skip chaos::full --skip chaos::power
}
hubs 2 sqlite postgres
hubs 3 jetstream sqlite
hubs 4 jetstream postgres
