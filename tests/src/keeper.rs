//! Processes that go with their handle, and with the test's process however that ends.
//!
//! Each runs under a shell that waits for it, and ends it when nobody holds the other end of the shell's
//! standard input any more. The shell is a process group of its own: Ctrl-C ends the tests first.
//!
//! The crates whose unit tests need PostgreSQL include this file by its path: they are below this crate.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
};

/// Starts `$3…`, which says its process id first; ends it with signal `$1` when the input ends; removes the
/// folder `$2`, if there is one. Ends as the process did.
const KEEPER: &str = r#"exec 3<&0 </dev/null
signal=$1 folder=$2 && shift 2
sh -c 'echo $$ && exec "$0" "$@"' "$@" 3<&- &
process=$!
exec >/dev/null 2>&1
{ read -r _ <&3; kill "-$signal" $process; } &
exec 3<&-
wait $process
ended=$?
kill $!
[ -z "$folder" ] || rm -rf "$folder"
exit $ended"#;

/// How a process is ended that is not needed any more.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// SIGKILL, as a power cut would.
    Kill,
    /// SIGQUIT, for those that have processes of their own to end.
    Quit,
}

/// A process and its keeper; ended when dropped.
#[derive(Debug)]
pub struct Kept {
    keeper: Child,
    pid: u32,
    /// What the process says.
    pub stdout: BufReader<ChildStdout>,
}

impl Kept {
    /// What will be `program`, ended by `end`: its arguments, environment and user are still to be set, and
    /// are its keeper's, too. `folder` is removed after its end.
    #[must_use]
    pub fn command(program: &Path, end: End, folder: Option<&Path>) -> Command {
        let signal = match end {
            End::Kill => "KILL",
            End::Quit => "QUIT",
        };
        let mut command = Command::new("/bin/sh");
        command.args(["-c", KEEPER, "keeper", signal]);
        command
            .arg(folder.unwrap_or_else(|| Path::new("")))
            .arg(program);
        command
    }

    /// Starts what [`Self::command`] began; its standard error is where the command has it.
    ///
    /// # Panics
    /// There is no shell.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().expect("sh runs");
        let stdout = keeper.stdout.take().expect("standard output is piped");
        let mut stdout = BufReader::new(stdout);
        let mut pid = String::new();
        stdout.read_line(&mut pid).expect("it can be read");
        let pid = pid.trim().parse().expect("it says its process id");
        Self {
            keeper,
            pid,
            stdout,
        }
    }

    /// What the process says on standard error, if that is piped and was not taken before.
    pub fn stderr(&mut self) -> Option<ChildStderr> {
        self.keeper.stderr.take()
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// SIGTERM; waits until it has ended and answers its exit code, or 128 and the signal that ended it.
    ///
    /// # Panics
    /// It has ended before.
    #[must_use]
    pub fn stop(&mut self) -> i32 {
        let mut kill = Command::new("kill");
        let asked = kill.args(["-TERM", &self.pid.to_string()]).status();
        assert!(asked.expect("kill runs").success());
        // Waiting would close it, and that ends the process at once.
        let _held = self.keeper.stdin.take();
        let ended = self.keeper.wait().expect("it has a keeper");
        ended.code().unwrap_or(-1)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
