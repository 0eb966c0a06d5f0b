//! The command line. This file is the table of contents; a command is a file.

mod backup;
mod copy;
mod doctor;
mod log;
mod print;
mod repair;
mod serve;
mod small;
mod vault;
mod verify;
mod views;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use wharf_domain::kernel::{IntegrationId, Position, ProjectId};

use crate::config::Config;

/// Self-hosted, event-sourced integration hub: connects accounts at third parties, syncs their records,
/// delivers signed webhooks, and keeps the book of everything in an append-only log.
///
/// First steps: `wharf demo` shows the whole flow in a minute. `wharf serve` is the real thing; it needs
/// no set-up, keeps everything in ./data, and prints where it listens.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, arg_required_else_help = true)]
pub struct Cli {
    /// Configuration file (TOML). Default: ./wharf.toml if there is one. Every key with its default:
    /// `wharf config`.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print for machines: JSON, one object a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `wharf` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the hub.
    Serve,
    /// Run the hub with the built-in sandbox platform and a webhook receiver, connected and syncing.
    Demo(DemoArgs),
    /// Print a new master key: 64 hexadecimal characters for `ENCRYPTION_KEY` or a key file.
    Keygen,
    /// Print a token (JWT) for development, signed with this hub's own secret.
    Token(TokenArgs),
    /// Look at the event log.
    #[command(subcommand)]
    Log(LogCommand),
    /// Look at the read models, or build them anew.
    #[command(subcommand)]
    Views(ViewsCommand),
    /// Move the vault to other storage.
    #[command(subcommand)]
    Vault(VaultCommand),
    /// Import an export file, e.g. `wharf import apple_health export.zip`.
    Import(ImportArgs),
    /// Print the `OpenAPI` document.
    Openapi,
    /// Explain an error code, e.g. `wharf explain F42305`; without one, list them.
    Explain {
        /// The code.
        code: Option<String>,
    },
    /// Print every setting with its default.
    Config,
    /// Check the installation: settings, keys, disk, log, vault, views, webhooks, clock. Exits with 1 if
    /// something does not work.
    Doctor,
    /// Copy the data folder to a new folder, verified, while the hub runs or not. Without the keys.
    Backup(BackupArgs),
    /// Put a backup back into an empty data folder.
    Restore(RestoreArgs),
    /// Print what was erased, for `wharf restore --erasures`.
    Erasures,
    /// Print the catalogue of metrics.
    Metrics,
}

/// Arguments of `wharf backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// A new or empty folder.
    pub dir: PathBuf,
    /// Copy `master.key` and `jwt.key`, too: whoever has the backup then reads everything.
    #[arg(long)]
    pub with_keys: bool,
}

/// Arguments of `wharf restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The folder that `wharf backup` made.
    pub dir: PathBuf,
    /// What was erased since: a list printed by `wharf erasures --json`, a later backup, or what is left of
    /// a data folder. May be repeated.
    #[arg(long, value_name = "FILE|FOLDER")]
    pub erasures: Vec<PathBuf>,
}

/// Arguments of `wharf demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Stop once the sync is finished and the webhook delivered.
    #[arg(long)]
    pub once: bool,
}

/// Arguments of `wharf token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The project that the token opens.
    #[arg(long, default_value = "default")]
    pub project: ProjectId,
    /// Who it is for.
    #[arg(long, default_value = "developer")]
    pub sub: String,
    /// viewer, member, admin or operator.
    #[arg(long, default_value = "admin")]
    pub role: String,
    /// Hours until it expires.
    #[arg(long, default_value_t = 24)]
    pub hours: u32,
}

/// Arguments of `wharf import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The platform whose export it is, e.g. `apple_health`.
    pub platform: String,
    /// The file.
    pub file: PathBuf,
    /// The project to import into.
    #[arg(long, default_value = "default")]
    pub project: ProjectId,
    /// The integration to import into; default: the project's only one of that platform, or a new one.
    #[arg(long)]
    pub integration: Option<IntegrationId>,
    /// IANA zone for local days where the file names none.
    #[arg(long)]
    pub time_zone: Option<String>,
}

/// `wharf log …`
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Print events as they are appended, until Ctrl-C.
    Tail(LogArgs),
    /// Print every event from a position on.
    Replay(LogArgs),
    /// Check positions, hashes and chains of the whole log: of this node's file, and on `JetStream` of every
    /// server's copy, which it compares with that. Names what is damaged and says what to do.
    Verify,
    /// Count commits, events, streams and bytes.
    Stats,
    /// Make a new stream on the servers from this node's mirror, in place of one that they damaged or lost.
    /// Every node must be stopped. Begun again it goes on.
    Repair {
        /// Prefix of the new stream; default: the next of `NAME`, `NAME-r1`, `NAME-r2`, …
        prefix: Option<String>,
        /// Leave out commits that the servers took after they had lost others.
        #[arg(long)]
        leave_out: bool,
    },
    /// Copy a log, every commit at its position, with the checkpoints of its consumers. Begun again it goes
    /// on.
    Copy {
        /// The log to copy: `sqlite:FOLDER` or `nats://HOST:PORT`.
        from: String,
        /// The log that takes the copy, likewise. Nobody else may write it.
        to: String,
    },
}

/// Which events to print.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Start after this position; `tail` starts at the end unless given.
    #[arg(long)]
    pub after: Option<u64>,
    /// Only this project.
    #[arg(long)]
    pub project: Option<ProjectId>,
    /// Only this type, e.g. `sync_run.completed`, or all that begin so with `sync_run.*`.
    #[arg(long = "type")]
    pub type_tag: Option<String>,
    /// Only this stream, e.g. `default.integration.<id>`.
    #[arg(long)]
    pub stream: Option<String>,
}

impl LogArgs {
    fn after(&self) -> Option<Position> {
        self.after.map(Position)
    }
}

/// `wharf views …`
#[derive(Debug, Subcommand)]
pub enum ViewsCommand {
    /// How far the read models are behind the log.
    Status,
    /// Build them anew from the first event on, beside the live ones, then swap.
    Rebuild,
}

/// `wharf vault …`
#[derive(Debug, Subcommand)]
pub enum VaultCommand {
    /// Copy a vault, every row sealed as it is, and prove that both are the same. No hub may run. Begun again it
    /// compares.
    Copy {
        /// The vault to copy: `sqlite:FOLDER` or `postgres://USER:PASSWORD@HOST/DATABASE`.
        from: String,
        /// Where the copy goes, likewise. It holds no vault, or an earlier copy of this one.
        to: String,
    },
}

/// Carries out `cli.command`.
///
/// # Errors
/// Whatever keeps the command from its end, with the remedy.
pub async fn run(cli: Cli, config: Config) -> anyhow::Result<ExitCode> {
    let out = print::Out { json: cli.json };
    match cli.command {
        Command::Serve => serve::serve(config, out).await,
        Command::Demo(args) => crate::demo::demo(config, &args, out).await,
        Command::Keygen => small::keygen(out),
        Command::Token(args) => small::token(&config, &args, out),
        Command::Log(command) => log::run(&config, command, out).await,
        Command::Views(command) => views::run(config, command, out).await,
        Command::Vault(command) => vault::run(&config, command, out).await,
        Command::Import(args) => crate::import::command(config, &args, out).await,
        Command::Openapi => small::openapi(out),
        Command::Explain { code } => small::explain(code.as_deref(), out),
        Command::Config => small::config(out),
        Command::Doctor => doctor::run(&config, out).await,
        Command::Backup(args) => backup::make(&config, args, out).await,
        Command::Restore(args) => backup::restore(&config, args, out).await,
        Command::Erasures => backup::erasures(&config, out).await,
        Command::Metrics => small::metrics(out),
    }
}

pub use print::{Out, byte_bar};
pub(crate) use small::mint;
