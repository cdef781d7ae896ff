//! Generated files: the configuration's schema, shell completions, the manual page.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, output};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Schema {
    /// Of what
    #[arg(value_enum, default_value_t = Of::Config)]
    of: Of,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Of {
    /// The configuration, as a JSON schema
    Config,
    /// The admin API, as OpenAPI
    Api,
}

pub(super) fn schema(asked: &Schema) -> anyhow::Result<()> {
    match asked.of {
        Of::Config => output::json(&tidegate_config::schema()),
        Of::Api => output::json(&crate::admin::openapi()),
    }
}

pub(super) fn completions(arguments: &Arguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Cli::command(),
        "tidegate",
        &mut script,
    );
    output::text(&String::from_utf8_lossy(&script))
}

/// One page with all verbs: an operator searches it, and does not know which of several to open.
pub(super) fn man() -> anyhow::Result<()> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for verb in command
        .get_subcommands()
        .filter(|verb| verb.get_name() != "help")
    {
        let verb = verb
            .clone()
            .bin_name(format!("tidegate {}", verb.get_name()));
        let man = clap_mangen::Man::new(verb);
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_options_section(&mut page)?;
    }
    output::text(&String::from_utf8_lossy(&page))
}
