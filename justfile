# Daily work. `just` alone lists the recipes; each is one command that also works without just.

# List the recipes.
default:
    @just --list --unsorted

# Run the hub on ./data; add options after the name (`just run --help`).
run *options:
    cargo run --release -- serve {{options}}

# Run the hub with the sandbox platform connected and a webhook sink: the whole flow in a minute.
demo *options:
    cargo run --release -- demo {{options}}

# Install what the tests call, then run them all; filter with `just test architecture`.
test *filter:
    sh tests/run.sh {{filter}}

# Break every part of a hub of two nodes, so many times, and run the rest of tests/it/chaos (docs/operations/faults.md).
chaos faults="500":
    sh tests/peers.sh test
    WHARF_CHAOS_FAULTS={{faults}} cargo test -p wharf-tests --test it chaos:: -- --include-ignored --nocapture --test-threads=1

# Clippy as CI runs it.
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# Format everything.
fmt:
    cargo fmt --all

# Measure and print the table of figures, with the programs we compare with.
bench *options:
    sh tests/peers.sh bench
    cargo run --release -p wharf-tests --bin bench -- {{options}}

# Licences, advisories, sources, and who links what. Once: cargo install --locked cargo-deny
deny:
    cargo deny check

# Print the OpenAPI document.
openapi:
    @cargo run --release --quiet -- openapi

# All that CI does.
ci:
    .ci/run
