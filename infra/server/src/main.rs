//! `wharf`: one binary, every command.

use std::{collections::BTreeMap, process::ExitCode};

use clap::Parser as _;
use wharf_server::{
    cli::{self, Cli},
    config::{Config, ConfigError},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `EX_USAGE` of sysexits.h: the configuration is wrong.
const USAGE: u8 = 64;

/// Threads for blocking work: reads of the log, sealing, opening, imports. Each keeps some memory that it
/// freed; more of them than that are not faster on any disk.
const BLOCKING_THREADS: usize = 24;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let config = match Config::load(cli.config.as_deref(), &environment) {
        Ok(config) => config,
        Err(error) => return fail(&anyhow::Error::from(error)),
    };
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return fail(&anyhow::anyhow!("another TLS provider was installed first"));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(cli::run(cli, config));
    // Every loop has stopped by now; a thread that is still reading a file has nobody to tell.
    runtime.shutdown_background();
    match result {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a command line tool says on standard error why it failed"
)]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("wharf: {error:#}");
    if error.is::<ConfigError>() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::FAILURE
    }
}
