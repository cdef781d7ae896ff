//! `tidegate init`: write a commented configuration.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context as _, bail};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to write it; - for standard output
    #[arg(value_name = "FILE", default_value = "tidegate.toml")]
    file: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let shown = arguments.file.display();
    if arguments.file.as_os_str() == "-" {
        return super::output::text(tidegate_config::TEMPLATE);
    }
    let mut file = match File::create_new(&arguments.file) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{shown} exists already; name another file, or remove it first")
        }
        Err(error) => return Err(error).with_context(|| shown.to_string()),
    };
    file.write_all(tidegate_config::TEMPLATE.as_bytes())
        .with_context(|| shown.to_string())?;
    eprintln!("wrote {shown}; next: edit it, then `tidegate validate {shown}`");
    Ok(())
}
