//! No text and no environment can make the reader panic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use proptest::prelude::*;
use tidegate_config::{Config, MINIMAL, TEMPLATE};

/// Reads the text and, when it is refused, writes the message too.
fn survive(text: &str) {
    if let Err(error) = Config::parse(text, None) {
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn cutting_the_template_anywhere_is_survived() {
    for end in 0..=TEMPLATE.len() {
        survive(&String::from_utf8_lossy(&TEMPLATE.as_bytes()[..end]));
    }
}

#[test]
fn changing_any_byte_of_the_template_is_survived() {
    for at in 0..TEMPLATE.len() {
        let mut bytes = TEMPLATE.as_bytes().to_vec();
        bytes[at] = b"\"[]{}=.\n0-\xff"[at % 11];
        survive(&String::from_utf8_lossy(&bytes));
    }
}

/// A list of tenants, right or wrong in each way there is. To tell where a
/// problem stands takes a search through the file, so only the first twenty are
/// told; with a search for each this would take minutes.
#[test]
fn a_long_list_of_tenants_is_read_to_its_end() {
    for (line, more) in [
        ("\"key-{n}\" = \"a\"\n", None),
        ("\"key-{n}\" = { tier = \"a\", name = \"n{n}\" }\n", None),
        ("\"key-{n}\" = { tier = \"a\", name = \"acme\" }\n", None),
        ("\"key-{n}\" = \"b\"\n", Some(9_980)),
        ("\"key-{n}\" = 5\n", Some(9_980)),
        ("\"key-{n}\" = {}\n", Some(9_980)),
        ("\"sha256:{n}\" = \"a\"\n", Some(9_980)),
        ("key-{n}.example.com = \"a\"\n", Some(9_980)),
        (
            "\"key-{n}\" = { tier = \"a\", name = \"acme\", in_flight = 1{n} }\n",
            Some(9_979),
        ),
    ] {
        let lines: String = (0..10_000_u32)
            .map(|number| line.replace("{n}", &number.to_string()))
            .collect();
        let text = format!(
            "{MINIMAL}[tenant]\nfrom = \"header:x-key\"\ntier = \"a\"\n[tier.a]\n[tenants]\n{lines}"
        );
        match (Config::parse(&text, None), more) {
            (Ok(config), None) => assert_eq!(config.tenants.len(), 10_000, "{line}"),
            (Err(error), Some(more)) => {
                let error = error.to_string();
                assert!(
                    error.ends_with(&format!("\n\nand {more} more")),
                    "{line}: {error}"
                );
            }
            (Ok(_), Some(_)) => panic!("{line} is taken"),
            (Err(error), None) => panic!("{line}: {error}"),
        }
    }
}

/// Text that is TOML more often than chance would have it.
fn nearly_toml() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just(" = ".to_owned()),
        Just(", ".to_owned()),
        Just("\n".to_owned()),
        Just("\"\"\"".to_owned()),
        "[a-z.\"]{1,5}",
        "(listener|upstream|route|client|tenant|tier|tenants|limit|rate|servers|address|name)",
        "\"[0-9a-z:./]{0,9}\"",
        "-?[0-9]{1,20}",
        "(true|nan|inf|1e5|0x10|1979-05-27)",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// A value in any key of the schema's shape.
fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{}".to_owned()),
        Just("[]".to_owned()),
        Just("[[], {}, 1]".to_owned()),
        Just("true".to_owned()),
        "-?[0-9]{1,25}",
        "'[^'\n\r\u{0}-\u{8}\u{b}-\u{1f}\u{7f}]{0,20}'",
        "'[0-9]{0,20}[/a-zA-Z:.]{0,8}'",
        "'[0-9a-f:.]{1,20}(/[0-9]{1,3})?'",
    ]
}

proptest! {
    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        survive(&text);
    }

    #[test]
    fn any_text_that_is_nearly_toml_is_survived(text in nearly_toml()) {
        survive(&text);
        survive(&format!("{MINIMAL}{text}"));
    }

    #[test]
    fn any_value_of_any_key_is_survived(line in 0..TEMPLATE.lines().count(), value in any_value()) {
        let changed = |(index, text): (usize, &str)| match text.split_once(" = ") {
            Some((key, _)) if index == line => format!("{key} = {value}\n"),
            _ => format!("{text}\n"),
        };
        survive(&TEMPLATE.lines().enumerate().map(changed).collect::<String>());
    }

    #[test]
    fn any_variable_is_survived(
        path in "(METRICS|CLIENT|UPSTREAM|LISTENER|TENANTS|MODE|_|[a-zä]{0,3})(__(LIMIT|APP|ADDRESS|[A-Z_]{0,9})){0,4}",
        value in prop_oneof![any_value(), any::<String>(), nearly_toml()],
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), TEMPLATE).unwrap();
        let variables = std::iter::once((format!("TIDEGATE_{path}"), value));
        if let Err(error) = Config::load_with(file.path(), variables) {
            assert!(!error.to_string().is_empty());
        }
    }
}
