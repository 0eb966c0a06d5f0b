//! A disk of a test's own: an ext4 file system in a file, on a loop device. It can be filled, and its power can
//! be cut. That takes root and loop devices; a test without them is skipped, see [`crate::skip`].

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{peers, process::workspace, skip::skipped};

/// The longest that the processes that were killed may hold the file system.
const PATIENCE: Duration = Duration::from_secs(30);

/// Unmounts the disk at `$0` when nobody holds the other end any more, however the test's process ended, and
/// also while its processes are still there.
const KEEPER: &str = r#"trap '' INT TERM
read -r _
umount --lazy "$0" && rm -rf "$1""#;

/// See the module. Unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    dir: TempDir,
    keeper: Option<Child>,
}

impl Disk {
    /// One of so many MiB for the test `name`; if this machine cannot have it, says that the test is skipped.
    #[must_use]
    pub fn or_skip(name: &str, mib: u64) -> Option<Self> {
        match Self::new(mib) {
            Ok(disk) => Some(disk),
            Err(why) => {
                skipped(name, &why);
                None
            }
        }
    }

    fn new(mib: u64) -> Result<Self, String> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut disk = Self { dir, keeper: None };
        let image = std::fs::File::create(disk.image()).expect("a file");
        image.set_len(mib << 20).expect("a file with holes");
        std::fs::create_dir(disk.path()).expect("a folder");
        // Without what it would keep for root: a full disk is full for everybody.
        run("mkfs.ext4", |mkfs| {
            mkfs.args(["-q", "-F", "-m", "0"]).arg(disk.image())
        })?;
        disk.mount()
            .map_err(|why| format!("needs root and loop devices: {why}"))?;
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER])
            .arg(disk.path())
            .arg(disk.dir.path());
        let keeper = keeper.stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
        disk.keeper = Some(keeper.expect("sh runs"));
        Ok(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Cuts its power at this instant for `processes`, which end with it: they are stopped first, so that none of
    /// them tells anybody anything that it did not know while there was power. `kill` then has to end them.
    /// Afterwards the disk is there again, with what had reached it.
    pub fn cut(&self, processes: &[u32], kill: impl FnOnce()) {
        for process in processes {
            let mut stop = Command::new("kill");
            let stopped = stop.args(["-STOP", &process.to_string()]).status();
            assert!(stopped.expect("kill runs").success());
        }
        let python = peers::program("python3").expect("tests/peers.sh was run");
        let script = workspace().join("tests/powercut.py");
        let cut = Command::new(python).arg(script).arg(self.path()).output();
        let cut = cut.expect("python3 runs");
        assert!(
            cut.status.success(),
            "{}",
            String::from_utf8_lossy(&cut.stderr)
        );
        kill();
        self.unmount().expect("nobody uses it");
        self.mount().expect("it was mounted before");
    }

    /// Takes all the room that is left; what it answers gives the room back.
    ///
    /// # Panics
    /// The disk fails otherwise than by being full.
    #[must_use]
    pub fn fill(&self) -> Ballast {
        use std::io::Write as _;
        let ballast = Ballast(self.path().join("ballast"));
        let mut file = std::fs::File::create(&ballast.0).expect("a file");
        // The last bytes as well.
        for size in [1 << 20, 4 << 10, 1] {
            let block = vec![0x5a_u8; size];
            let full = loop {
                if let Err(error) = file.write_all(&block) {
                    break error;
                }
            };
            assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
        }
        ballast
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("disk.img")
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", |mount| {
            mount
                .args(["-o", "loop"])
                .arg(self.image())
                .arg(self.path())
        })
    }

    fn unmount(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match run("umount", |umount| umount.arg(self.path())) {
                // Whoever was killed a moment ago may not be gone yet.
                Err(_) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50))
                }
                unmounted => return unmounted,
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

/// What takes the room of a full disk, until it is dropped.
#[derive(Debug)]
pub struct Ballast(PathBuf);

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Runs a program of the machine's; its complaint if it fails or is not there.
fn run(program: &str, with: impl FnOnce(&mut Command) -> &mut Command) -> Result<(), String> {
    // Where a user's path does not lead.
    let program = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
        .map(|dir| Path::new(dir).join(program))
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| format!("{program} is missing"))?;
    let mut command = Command::new(program);
    let output = with(&mut command)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}
