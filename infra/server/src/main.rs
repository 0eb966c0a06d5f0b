//! `wharf`: one binary, every command.

use std::{
    collections::BTreeMap,
    env,
    num::NonZero,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
    thread,
};

use clap::Parser as _;
use wharf_server::{
    cli::{self, Cli},
    config::{Config, ConfigError},
};

/// `EX_USAGE` of sysexits.h: the configuration is wrong.
const USAGE: u8 = 64;

/// Threads for blocking work: reads of the log, sealing, opening, imports. Each keeps some memory that it
/// freed; more of them than that are not faster on any disk.
const BLOCKING_THREADS: usize = 24;

/// How glibc is told the number of its arenas: by the environment of a process that starts.
const ARENAS: &str = "MALLOC_ARENA_MAX";
/// How it is told to give back what is free at the end of an arena, from so many bytes on.
const TRIM: (&str, &str) = ("MALLOC_TRIM_THRESHOLD_", "262144");

fn main() -> ExitCode {
    let environment: BTreeMap<String, String> = env::vars().collect();
    heap_in_bounds(&environment);
    let cli = Cli::parse();
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

/// Starts this program anew, in the same process, with one heap arena a core that gives back what is free.
///
/// By itself glibc makes eight a core, one for nearly each of our threads, and what a thread freed stays in
/// its arena: the import of a large file then holds twice the memory that it uses. And with each large block that
/// is freed it keeps more. Whoever sets the number of arenas is left alone, and elsewhere than on glibc nothing
/// happens.
fn heap_in_bounds(environment: &BTreeMap<String, String>) {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) || environment.contains_key(ARENAS) {
        return;
    }
    let Ok(program) = env::current_exe() else {
        return;
    };
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| program.clone().into());
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    // Comes back only if it failed: then it goes on as it is.
    let _ = Command::new(program)
        .arg0(name)
        .args(arguments)
        .env(ARENAS, cores.to_string())
        .env(TRIM.0, TRIM.1)
        .exec();
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
