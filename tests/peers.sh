#!/bin/sh
# Installs the programs that tests (or, with `bench`, benchmarks) call, into tests/.peers: a Python
# environment of its own that touches nothing else of the machine, and links to PostgreSQL, which is used
# where it is installed, else comes from Debian's packages; no server of the machine is started or touched.
# Again: does nothing, unless the list changed. WHARF_TEST_PEERS names another folder.
#
#     sh tests/peers.sh [test|bench]
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
peers=${WHARF_TEST_PEERS:-$here/.peers}

case ${1:-test} in
    test) list=$here/peers.txt ;;
    bench) list=$here/peers-bench.txt ;;
    *)
        echo "usage: sh tests/peers.sh [test|bench]" >&2
        exit 64
        ;;
esac
installed=$peers/$(basename "$list")

fail() {
    echo "peers: $1" >&2
    echo "peers: $2" >&2
    exit 69
}

# The folder of the newest PostgreSQL of this machine that is new enough.
postgres_bin() {
    for bin in /usr/lib/postgresql/[0-9]*/bin /opt/homebrew/opt/postgresql@[0-9]*/bin \
        /usr/local/pgsql/bin "$(dirname -- "$(command -v initdb || echo /nowhere/initdb)")"; do
        [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] || continue
        version=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
        [ "$version" -ge 15 ] && echo "$version $bin"
    done | sort -n | tail -1 | cut -d' ' -f2-
}

if ! command -v openssl >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "peers: installing openssl with apt-get"
        apt-get update -qq && apt-get install -y -qq --no-install-recommends openssl >/dev/null || true
    fi
    command -v openssl >/dev/null 2>&1 || fail \
        "openssl is missing; tests of TLS make certificates with it" \
        "install it (Debian: apt-get install openssl), then run this again"
fi

if [ ! -x "$peers/bin/postgres" ]; then
    bin=$(postgres_bin)
    if [ -z "$bin" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "peers: installing postgresql with apt-get"
        # Only the programs: Debian would make a cluster and start it.
        mkdir -p /etc/postgresql-common/createcluster.d
        echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/wharf-tests.conf
        apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null || true
        rm -f /etc/postgresql-common/createcluster.d/wharf-tests.conf
        bin=$(postgres_bin)
    fi
    [ -n "$bin" ] || fail \
        "PostgreSQL 15 or newer is missing; views and vault are tested on a server of the tests' own" \
        "install it (Debian: apt-get install postgresql; macOS: brew install postgresql@17), then run this again"
    mkdir -p "$peers/bin"
    ln -sf "$bin/initdb" "$bin/postgres" "$peers/bin/"
    echo "peers: PostgreSQL is $bin"
fi

# The packages of the example in JavaScript, where there is a Node.js to run it with.
example=$here/../infra/deploy/subscribers/javascript/package.json
if [ "${1:-test}" = test ] && command -v npm >/dev/null 2>&1 &&
    ! cmp -s "$example" "$peers/javascript/package.json"; then
    echo "peers: installing what the example in JavaScript names, with npm"
    mkdir -p "$peers/javascript"
    cp "$example" "$peers/javascript/"
    npm install --prefix "$peers/javascript" --no-audit --no-fund --no-package-lock --silent || {
        rm -f "$peers/javascript/package.json"
        fail "npm could not install what $example names" \
            "check that this machine reaches an npm registry, then run this again"
    }
fi

if cmp -s "$list" "$installed"; then
    echo "peers: $peers is up to date"
    exit 0
fi

command -v python3 >/dev/null 2>&1 || fail \
    "python3 is missing; an independent Python library checks our webhook signatures" \
    "install Python 3.10 or newer (Debian: apt-get install python3 python3-venv), then run this again"

if [ ! -x "$peers/bin/pip" ]; then
    echo "peers: making a Python environment in $peers"
    if ! python3 -m venv "$peers" >/dev/null 2>&1; then
        # Debian ships venv without pip unless python3-venv is there.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            echo "peers: installing python3-venv with apt-get"
            apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
            python3 -m venv "$peers"
        else
            fail "python3 cannot make environments here" \
                "install its venv module (Debian: apt-get install python3-venv), then run this again"
        fi
    fi
fi

echo "peers: installing what $(basename "$list") names"
"$peers/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$list" || fail \
    "pip could not install what $list names" \
    "check that this machine reaches a Python package index (PIP_INDEX_URL names another), then run this again"
cp "$list" "$installed"
echo "peers: ready"
