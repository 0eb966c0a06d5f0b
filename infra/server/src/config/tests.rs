//! The configuration, as operators write it.

use super::*;

fn load(environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Config::load(None, &environment)
}

#[test]
fn the_defaults_are_a_valid_configuration() {
    let config = load(&[]).unwrap();
    assert_eq!(config.server.listen, ["127.0.0.1:8093".parse().unwrap()]);
}

#[test]
fn the_environment_overrides_by_section_and_key() {
    let config = load(&[
        (
            "WHARF_SERVER__LISTEN",
            r#"["127.0.0.1:0", "127.0.0.1:8003"]"#,
        ),
        ("WHARF_DATA__DIR", "/tmp/x"),
        ("WHARF_TELEMETRY__FORMAT", "json"),
    ])
    .unwrap();
    assert_eq!(config.server.listen.len(), 2);
    assert_eq!(config.data.dir, Path::new("/tmp/x"));
    assert_eq!(config.telemetry.format, "json");
}

#[test]
fn the_documents_name_of_the_master_key_is_read() {
    assert_eq!(
        load(&[("ENCRYPTION_KEY", "ab")]).unwrap().vault.master_key,
        "ab"
    );
}

#[test]
fn an_unknown_key_is_refused_and_named() {
    let error = load(&[("WHARF_SERVER__LISTN", "x")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("listn"), "{error}");
}

#[test]
fn a_short_token_secret_is_refused() {
    assert!(load(&[("WHARF_AUTH__JWT_SECRET", "short")]).is_err());
}

#[test]
fn a_collector_is_a_url_and_a_share_is_one() {
    let endpoint = "WHARF_TELEMETRY__OTLP_ENDPOINT";
    assert!(load(&[(endpoint, "http://127.0.0.1:4318")]).is_ok());
    for wrong in ["collector:4317", "ftp://collector"] {
        let error = load(&[(endpoint, wrong)]).unwrap_err().to_string();
        assert!(error.contains("otlp_endpoint"), "{error}");
    }
    let share = "WHARF_TELEMETRY__TRACE_SHARE";
    assert!(load(&[(share, "0.25")]).is_ok());
    for wrong in ["1.5", "-0.1"] {
        let error = load(&[(share, wrong)]).unwrap_err().to_string();
        assert!(error.contains("trace_share"), "{error}");
    }
}
