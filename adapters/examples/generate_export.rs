//! Writes a synthetic Apple Health export: `generate_export MEGABYTES FILE [SEED]`.

use std::{env, fs::File, io::BufWriter, process::ExitCode};

use wharf_adapters::health::apple_health::generate::write_export;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let megabytes = arguments.next().and_then(|text| text.parse::<u64>().ok());
    let (Some(megabytes), Some(path)) = (megabytes, arguments.next()) else {
        eprintln!("usage: generate_export MEGABYTES FILE [SEED]");
        return ExitCode::from(64);
    };
    let seed = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let written = File::create(&path)
        .map(BufWriter::new)
        .and_then(|mut file| write_export(&mut file, megabytes * 1_000_000, seed));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}
