//! Hostile and broken files: refused, or imported up to the break; never a crash, never much memory.

use std::io::Read;

use super::*;

fn small() -> Vec<u8> {
    let mut file = Vec::new();
    generate::write_export(&mut file, 150_000, 3).unwrap();
    file
}

fn ends_well_or_is_named(bytes: Vec<u8>) -> Vec<u8> {
    let opened = AppleHealth::new().import(source(bytes, None));
    match opened {
        Ok(import) => drain(import).lines,
        Err(ImportError::Refused(_)) => Vec::new(),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_file_cut_anywhere_gives_a_prefix_of_the_whole() {
    let whole = small();
    let zip = zipped(&[("a/export.xml", &whole)], CompressionMethod::Deflated);
    let stored = zipped(&[("a/export.xml", &whole)], CompressionMethod::Stored);
    let lines = import(whole.clone()).lines;
    for file in [whole, zip, stored] {
        let step = file.len() / 61;
        let ends = (0..file.len())
            .step_by(step)
            .chain(file.len().saturating_sub(90)..file.len());
        for end in ends {
            let cut = ends_well_or_is_named(file[..end].to_vec());
            assert!(lines.starts_with(&cut), "cut at {end} of {}", file.len());
        }
        assert_eq!(ends_well_or_is_named(file), lines);
    }
}

#[test]
fn a_zip_that_lost_its_directory_is_read_from_its_entries() {
    let whole = small();
    let lines = import(whole.clone()).lines;
    let track = b"<gpx>".repeat(5000);
    let streamed = {
        let mut zip = ZipWriter::new_stream(Vec::new());
        for (name, bytes) in [
            ("a/routes/1.gpx", &track),
            ("a/export_cda.xml", &track),
            ("a/export.xml", &whole),
        ] {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let zip64 = {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().large_file(true);
        zip.start_file("a/routes/1.gpx", options).unwrap();
        zip.write_all(&track).unwrap();
        zip.start_file("a/export.xml", options).unwrap();
        zip.write_all(&whole).unwrap();
        zip.finish().unwrap().into_inner()
    };
    for file in [streamed, zip64] {
        assert_eq!(import(file.clone()).lines, lines);
        let directory = file
            .windows(4)
            .rposition(|window| window == b"PK\x01\x02")
            .unwrap();
        let imported = import(&file[..directory]);
        assert!(imported.error.is_none(), "the XML itself is whole");
        assert_eq!(imported.lines, lines);
        let cut = import(&file[..directory - 2000]);
        assert!(matches!(cut.error, Some(ImportError::Broken(_))));
        assert!(!cut.lines.is_empty() && lines.starts_with(&cut.lines));
    }
}

#[test]
fn the_export_is_told_by_its_root_whatever_its_name_and_its_neighbours() {
    let whole = small();
    let lines = import(whole.clone()).lines;
    let cda = format!(
        "<?xml version=\"1.0\"?><ClinicalDocument>{}</ClinicalDocument>",
        "x".repeat(300_000)
    );
    let nested = zipped(&[("export.xml", &whole)], CompressionMethod::Deflated);
    let zip = zipped(
        &[
            ("apple_health_export/export_cda.xml", cda.as_bytes()),
            ("apple_health_export/\u{5bfc}\u{51fa}.XML", &whole),
            ("apple_health_export/inner.zip", &nested),
            ("apple_health_export/old.xml", export("").as_bytes()),
        ],
        CompressionMethod::Deflated,
    );
    assert_eq!(import(zip).lines, lines);
    let only_nested = zipped(&[("inner.zip", &nested)], CompressionMethod::Stored);
    // Stored, so that the XML's header stands in the file: it must not be found.
    assert!(refusal(only_nested, Limits::default()).contains("no .xml"));
    let cda_only = zipped(
        &[("export_cda.xml", cda.as_bytes())],
        CompressionMethod::Deflated,
    );
    assert!(refusal(cda_only, Limits::default()).contains("no .xml"));
}

#[test]
fn what_is_no_export_is_refused() {
    for file in [
        &b""[..],
        b"P",
        b"PK",
        b"PK\x03\x04",
        b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"{}",
        b"<?xml version=\"1.0\"?><HealthDatas/>",
        b"\x1f\x8b\x08\0",
    ] {
        refusal(file, Limits::default());
    }
    let utf16: Vec<u8> = export("")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    refusal(utf16, Limits::default());
    assert!(import("<HealthData/>").records().is_empty());
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let line = quantity("StepCount", "count", "1");
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("export.xml", SimpleFileOptions::default())
        .unwrap();
    zip.write_all(b"<HealthData>").unwrap();
    let block = format!("<!--{}-->", " ".repeat(1_000_000)).into_bytes();
    for _ in 0..100 {
        zip.write_all(&block).unwrap();
    }
    zip.write_all(line.as_bytes()).unwrap();
    zip.write_all(b"</HealthData>").unwrap();
    let bomb = zip.finish().unwrap().into_inner();
    assert!(bomb.len() < 300_000, "{}", bomb.len());
    assert!(refusal(bomb.clone(), Limits::default()).contains("more than 200 times"));
    let small = Limits {
        unpacked_bytes: 50_000_000,
        ..Limits::default()
    };
    assert!(refusal(bomb, small).contains("larger than 50000000"));
    // The same cap holds for what was never packed.
    let plain = export(&line.repeat(1000));
    let tiny = Limits {
        unpacked_bytes: 100_000,
        ..Limits::default()
    };
    assert!(refusal(plain, tiny).contains("larger than 100000"));
}

#[test]
fn too_many_entries_are_refused() {
    let names: Vec<String> = (0..20).map(|n| format!("{n}.gpx")).collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), &b"x"[..]))
        .collect();
    let zip = zipped(&files, CompressionMethod::Stored);
    let limits = Limits {
        entries: 10,
        ..Limits::default()
    };
    assert!(refusal(zip, limits).contains("more than 10 entries"));
}

#[test]
fn depth_and_size_of_elements_are_bounded() {
    let deep = format!("<HealthData>{}", "<A>".repeat(100_000));
    assert!(refusal(deep, Limits::default()).contains("deeper than 16"));
    let huge = format!(
        "<HealthData><Record type=\"{}\"/></HealthData>",
        "x".repeat(5_000_000)
    );
    assert!(refusal(huge, Limits::default()).contains("larger than 1048576"));
    let endless = format!("<HealthData><Record a=\"{}", "<Record/>".repeat(500_000));
    assert!(refusal(endless, Limits::default()).contains("larger than 1048576"));
    let text = format!("<HealthData>{}</HealthData>", "x".repeat(5_000_000));
    assert!(refusal(text, Limits::default()).contains("larger than 1048576"));
    let wide = format!(
        "<HealthData><Record {}/></HealthData>",
        "a=\"1\" ".repeat(1000)
    );
    assert_eq!(import(wide).skipped("too_many_attributes"), 1);
}

#[test]
fn an_element_with_endless_children_is_kept_without_most_of_them() {
    let event = "<WorkoutEvent type=\"HKWorkoutEventTypeLap\" date=\"2023-11-14 07:30:00 -0700\" duration=\"1\" durationUnit=\"min\"/>";
    let workout = format!(
        "<Workout workoutActivityType=\"HKWorkoutActivityTypeSwimming\" sourceName=\"W\" startDate=\"2023-11-14 07:25:41 -0700\" endDate=\"2023-11-14 08:30:41 -0700\">{}</Workout>",
        event.repeat(50_000)
    );
    let imported = import(export(&(workout + &quantity("StepCount", "count", "1"))));
    let data = imported.one("workout")["data"].clone();
    assert_eq!(data["truncated"], true);
    assert_eq!(data["events"].as_array().unwrap().len(), 400);
    assert_eq!(imported.of("steps").len(), 1);

    let head = "<Workout workoutActivityType=\"HKWorkoutActivityTypeGolf\" sourceName=\"W\" startDate=\"2023-11-14 07:25:41 -0700\" endDate=\"2023-11-14 08:30:41 -0700\">";
    let hollow = format!("{head}{}</Workout>", "<A/>".repeat(100_000));
    assert_eq!(
        import(export(&hollow)).one("workout")["data"]["truncated"],
        true
    );
    let long = "x".repeat(40_000);
    let wordy = format!(
        "{head}<MetadataEntry key=\"a\" value=\"{long}\"/><MetadataEntry key=\"b\" value=\"1\"/></Workout>"
    );
    let data = import(export(&wordy)).one("workout")["data"].clone();
    assert_eq!(
        (&data["metadata"]["b"], &data["truncated"]),
        (&"1".into(), &true.into())
    );
}

#[test]
fn a_damaged_archive_keeps_what_was_read_before_the_damage() {
    let whole = small();
    let lines = import(whole.clone()).lines;
    let mut stored = zipped(&[("export.xml", &whole)], CompressionMethod::Stored);
    let at = stored
        .windows(9)
        .rposition(|window| window == b"</HealthD")
        .unwrap()
        - 400;
    let digit = at + stored[at..].iter().position(u8::is_ascii_digit).unwrap();
    stored[digit] = if stored[digit] == b'9' { b'8' } else { b'9' };
    let imported = import(stored);
    assert!(matches!(&imported.error, Some(ImportError::Broken(why)) if why.contains("checksum")));
    assert!(!imported.lines.is_empty());
    let mut deflated = zipped(&[("export.xml", &whole)], CompressionMethod::Deflated);
    let middle = deflated.len() / 2;
    deflated[middle..middle + 40].fill(0xff);
    let imported = import(deflated);
    assert!(
        matches!(imported.error, Some(ImportError::Broken(_))),
        "{:?}",
        imported.error
    );
    let shared = lines
        .iter()
        .zip(&imported.lines)
        .take_while(|(a, b)| a == b)
        .count();
    assert!(shared > 1000);
}

#[test]
fn a_disk_that_fails_is_not_the_files_fault() {
    struct Failing(Cursor<Vec<u8>>);
    impl Read for Failing {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            if self.0.position() > 100_000 {
                return Err(std::io::Error::from(std::io::ErrorKind::TimedOut));
            }
            self.0.read(out)
        }
    }
    impl std::io::Seek for Failing {
        fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }
    let bytes = small();
    let source = ImportSource {
        bytes: bytes.len() as u64,
        reader: Box::new(Failing(Cursor::new(bytes))),
        time_zone: None,
    };
    let imported = drain(AppleHealth::new().import(source).unwrap());
    assert!(
        matches!(&imported.error, Some(ImportError::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut),
        "{:?}",
        imported.error
    );
}

/// Splitmix64.
fn dice(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut x = *state;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((x ^ (x >> 31)) >> 1).unwrap()
}

#[test]
fn random_damage_never_panics() {
    let elements = [
        quantity("StepCount", "count", "1"),
        "<Record type=\"HKCategoryTypeIdentifierSleepAnalysis\" sourceName=\"W\" startDate=\"2026-01-05 08:00:00 +0200\" endDate=\"2026-01-05 09:00:00 +0200\" value=\"HKCategoryValueSleepAnalysisAsleepREM\"><MetadataEntry key=\"HKTimeZone\" value=\"Europe/Paris\"/></Record>".to_owned(),
        "<Workout workoutActivityType=\"HKWorkoutActivityTypeRunning\" duration=\"2\" sourceName=\"W\" startDate=\"2026-01-05 08:00:00 +0200\" endDate=\"2026-01-05 09:00:00 +0200\"><WorkoutStatistics type=\"x\" sum=\"1\"/></Workout>".to_owned(),
        "<ActivitySummary dateComponents=\"2026-01-05\" appleStandHours=\"10\"/><!-- a --><![CDATA[x]]><?pi x?>&amp;".to_owned(),
    ]
    .concat();
    let xml = export(&elements).into_bytes();
    let files = [
        xml.clone(),
        zipped(&[("export.xml", &xml)], CompressionMethod::Stored),
        zipped(
            &[("export.xml", &xml), ("b.xml", &xml)],
            CompressionMethod::Deflated,
        ),
    ];
    let mut state = 1;
    for round in 0..6000 {
        let mut file = files[round % files.len()].clone();
        for _ in 0..=dice(&mut state) % 4 {
            let at = dice(&mut state) % file.len();
            match dice(&mut state) % 5 {
                0 => file.truncate(at.max(1)),
                1 => {
                    file.remove(at);
                    file.push(b' ');
                }
                2 => file.insert(at, b"<>\"'&;/= \0\xff!-?"[dice(&mut state) % 14]),
                3 => file[at] = u8::try_from(dice(&mut state) % 256).unwrap(),
                _ => {
                    let from = dice(&mut state) % file.len();
                    file[at] = file[from];
                }
            }
        }
        ends_well_or_is_named(file);
    }
    for _ in 0..500 {
        let noise: Vec<u8> = (0..300)
            .map(|_| u8::try_from(dice(&mut state) % 256).unwrap())
            .collect();
        ends_well_or_is_named(noise.clone());
        ends_well_or_is_named([b"PK\x03\x04", &noise[..]].concat());
        ends_well_or_is_named([b"<HealthData>", &noise[..]].concat());
    }
}
