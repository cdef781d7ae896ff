//! From a file and the environment to a configuration.

use std::{fs::File, io::Read, net::SocketAddr, path::Path};

use serde::Deserialize;

use crate::{
    check,
    checked::{Config, Server},
    document::Document,
    error::Error,
    findings::Findings,
    overrides, raw, schema, shape,
    source::Source,
};

/// The largest file that is read, in bytes.
const LARGEST: u64 = 16 * 1024 * 1024;

impl Config {
    /// Reads a file, and overrides values with the environment's variables
    /// named `TIDEGATE_<PATH>__<KEY>`: `TIDEGATE_METRICS__ADDRESS` is `address`
    /// in `[metrics]`, `TIDEGATE__MODE` is `mode`.
    ///
    /// The file is at most 16 MiB. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is not TOML, or says something that
    /// cannot be: see [`Error`].
    pub fn load(path: &Path) -> Result<Config, Error> {
        Config::load_with(path, environment())
    }

    /// As [`Config::load`], with these variables as the environment.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load_with(
        path: &Path,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Config, Error> {
        read(&text_of(path)?, Some(path), &overrides::pick(variables))
    }

    /// Reads a text, and no environment. `source` is the file that it came
    /// from, for messages and relative paths; it is not opened.
    ///
    /// # Errors
    ///
    /// When the text is not TOML, or says something that cannot be: see [`Error`].
    pub fn parse(text: &str, source: Option<&Path>) -> Result<Config, Error> {
        read(text, source, &[])
    }

    /// The configuration of a gate that was given no file: everything default,
    /// in the mode `observe`, and overridden by the environment as a file would
    /// be.
    ///
    /// # Errors
    ///
    /// When a variable says something that cannot be: see [`Error`].
    pub fn embedded(listen: SocketAddr, upstream: &Server) -> Result<Config, Error> {
        Config::embedded_with(listen, upstream, environment())
    }

    /// As [`Config::embedded`], with these variables as the environment.
    ///
    /// # Errors
    ///
    /// As [`Config::embedded`].
    pub fn embedded_with(
        listen: SocketAddr,
        upstream: &Server,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Config, Error> {
        let text = format!(
            "mode = \"observe\"\n[[listener]]\naddress = \"{listen}\"\n[upstream.app]\nservers = [\"{upstream}\"]\n"
        );
        read(&text, None, &overrides::pick(variables))
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

fn read(text: &str, path: Option<&Path>, variables: &[(String, String)]) -> Result<Config, Error> {
    let name = path.map_or_else(
        || "configuration".to_owned(),
        |path| path.display().to_string(),
    );
    let source = Source::new(&name, text, variables);
    let invalid = |problem| Error::Invalid {
        problems: vec![problem],
        more: 0,
    };

    let mut document = Document::parse(&source).map_err(invalid)?;
    if document.root.get_ref().is_empty() {
        return Err(Error::Empty { file: name });
    }
    overrides::apply(&mut document, schema::shared()).map_err(invalid)?;
    let mut findings = Findings::new(&document);
    shape::check(&mut findings, schema::shared());
    findings.finish()?;
    let deserializer = toml::Deserializer::from(document.root.clone());
    let raw = raw::File::deserialize(deserializer).map_err(|error| {
        // The shape was right, so this is a check that the schema does not
        // know of; the message is serde's.
        invalid(document.problem(&error.span().unwrap_or(0..0), error.message().to_owned()))
    })?;
    check::check(raw, &document, path)
}

fn text_of(path: &Path) -> Result<String, Error> {
    use std::io::ErrorKind;

    let failed = |reason: std::io::Error| match reason.kind() {
        ErrorKind::NotFound => Error::NotFound {
            path: path.to_owned(),
        },
        ErrorKind::IsADirectory => Error::Folder {
            path: path.to_owned(),
        },
        _ => Error::Unreadable {
            path: path.to_owned(),
            reason,
        },
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LARGEST.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(Error::TooLarge {
            path: path.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|error| not_utf8(path, &error))
}

fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> Error {
    let (before, rest) = error
        .as_bytes()
        .split_at_checked(error.utf8_error().valid_up_to())
        .unwrap_or_default();
    Error::NotUtf8 {
        path: path.to_owned(),
        line: before
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            .saturating_add(1),
        offset: before.len().saturating_add(1),
        byte: rest.first().copied().unwrap_or_default(),
    }
}
