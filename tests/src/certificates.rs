//! Certificates of an authority that nobody else trusts, made by `openssl` for one test.

use std::{path::PathBuf, process::Command};

use tempfile::TempDir;

/// An authority, and the certificate that it gave a server on this machine; gone when dropped.
#[derive(Debug)]
pub struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// Makes them.
    ///
    /// # Panics
    /// There is no `openssl`.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
        std::fs::write(dir.path().join("names"), names).expect("a file");
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        for line in [
            format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=tests"),
            format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"),
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem \
             -days 2 -extfile names"
                .to_owned(),
        ] {
            let made = Command::new("openssl")
                .args(line.split_whitespace())
                .current_dir(dir.path())
                .output()
                .expect("openssl is missing: install it (Debian: apt-get install openssl)");
            assert!(made.status.success(), "openssl {line}: {made:?}");
        }
        Self { dir }
    }

    /// The authority's certificate (PEM).
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The server's certificate (PEM), for `localhost` and 127.0.0.1.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("server.pem")
    }

    /// Its key (PEM).
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.dir.path().join("server.key")
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}
