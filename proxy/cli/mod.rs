//! The command line: one file a verb. Data goes to standard output, messages to standard error.

mod audit;
mod block;
mod demo;
mod explain;
mod generated;
mod healthcheck;
mod init;
mod known;
mod log;
mod mode;
mod output;
mod pass;
mod preview;
mod reload;
mod reopen;
mod report;
mod run;
mod status;
mod tail;
mod tenant;
mod top;
mod upgrade;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::admin::{Client, Target, TokenError};
use crate::listener::CertificateError;
use crate::lists::ListError;
use crate::pass::KeyError;
use crate::top::OwnersError;

/// The gate in front of your web apps: it refuses floods cheaply and keeps known customers served.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit status: 0 done, 1 failed or refused, 2 usage or invalid configuration."
)]
pub(crate) struct Cli {
    /// How to print: for people or for programs
    #[arg(short, long, value_enum, default_value_t = Format::Human, global = true)]
    output: Format,

    /// The admin socket of the gate to speak to, or its address: http://127.0.0.1:9903
    #[arg(long, value_name = "SOCKET", env = "TIDEGATE_ADMIN", global = true)]
    admin: Option<PathBuf>,

    /// The file with the token, where the gate is spoken to at an address
    #[arg(
        long,
        value_name = "FILE",
        env = "TIDEGATE_ADMIN_TOKEN_FILE",
        global = true
    )]
    admin_token_file: Option<PathBuf>,

    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Human,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Serve in the foreground
    Run(run::Arguments),
    /// Watch it work: a sample app, the gate before it and a flood, all on this machine
    Demo(demo::Arguments),
    /// Write a commented configuration
    Init(init::Arguments),
    /// Check a configuration without serving
    Validate(validate::Arguments),
    /// Take the configuration file over anew; says what changed
    Reload(reload::Arguments),
    /// Let the program's present version go on with the sockets and counters; drops nothing
    Upgrade(upgrade::Arguments),
    /// Show mode, traffic, caps, upstreams and the log's health
    Status,
    /// Show the mode or switch it
    Mode(mode::Arguments),
    /// Show what a mode or a limit would have refused in the last hour, before it is in force
    Preview(preview::Arguments),
    /// Open again in steps, and back at once when the attack is still on
    Reopen(reopen::Arguments),
    /// Show or change who is a known customer
    #[command(subcommand)]
    Known(known::Verb),
    /// Show or change who is shut out for a while
    #[command(subcommand)]
    Block(block::Verb),
    /// Show tenants, or move one to another tier
    #[command(subcommand)]
    Tenant(tenant::Verb),
    /// Make keys for passes, or revoke passes
    #[command(subcommand)]
    Pass(pass::Verb),
    /// Show every fact and rule that decides about a client's request now
    Explain(explain::Arguments),
    /// Show who sends the most: clients, networks, tenants, paths and user agents
    Top(top::Arguments),
    /// Write down what an incident was, as Markdown: traffic, changes, upstreams, who sent the most
    Report(report::Arguments),
    /// Watch what is decided, as it happens
    Tail(tail::Arguments),
    /// Have the log's file opened anew
    #[command(subcommand)]
    Log(log::Verb),
    /// Show who changed what, when, why and until when
    Audit(audit::Arguments),
    /// Exit with 0 when the gate serves, with 1 when it does not
    Healthcheck,
    /// Print the JSON schema of the configuration, or the OpenAPI description of the admin API
    Schema(generated::Schema),
    /// Print a completion script for a shell
    Completions(generated::Arguments),
    /// Print the manual page
    Man,
}

/// What a verb has to work with.
pub(crate) struct Context {
    pub(crate) format: Format,
    /// The gate that is named.
    pub(crate) admin: Option<Target>,
}

impl Context {
    pub(crate) fn client(&self) -> Client {
        let usual = || Target::Socket(tidegate_config::default_admin_socket());
        Client::new(self.admin.clone().unwrap_or_else(usual))
    }
}

/// Does what the arguments ask for.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let token_file = cli.admin_token_file.as_deref();
    let admin = cli.admin.as_deref();
    let admin = admin.map(|name| Target::named(name, token_file));
    let admin = admin.transpose().unwrap_or_else(|right| {
        let right = format!("--admin {right}");
        Cli::command()
            .error(ErrorKind::ValueValidation, right)
            .exit()
    });
    let context = Context {
        format: cli.output,
        admin,
    };
    match dispatch(cli.verb, &context) {
        Ok(code) => code,
        Err(error) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate: {error:#}");
            let invalid = error.is::<tidegate_config::Error>()
                || error.is::<ListError>()
                || error.is::<KeyError>()
                || error.is::<TokenError>()
                || error.is::<OwnersError>()
                || error.is::<CertificateError>();
            ExitCode::from(if invalid { 2 } else { 1 })
        }
    }
}

fn dispatch(verb: Verb, context: &Context) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Run(arguments) => run::run(&arguments, context)?,
        Verb::Demo(arguments) => return demo::run(&arguments, context),
        Verb::Init(arguments) => init::run(&arguments)?,
        Verb::Validate(arguments) => return validate::run(&arguments, context),
        Verb::Reload(arguments) => reload::run(&arguments, context)?,
        Verb::Upgrade(arguments) => upgrade::run(&arguments, context)?,
        Verb::Status => status::run(context)?,
        Verb::Mode(arguments) => mode::run(arguments, context)?,
        Verb::Preview(arguments) => preview::run(&arguments, context)?,
        Verb::Reopen(arguments) => reopen::run(&arguments, context)?,
        Verb::Known(verb) => known::run(verb, context)?,
        Verb::Block(verb) => block::run(verb, context)?,
        Verb::Tenant(verb) => tenant::run(verb, context)?,
        Verb::Pass(verb) => pass::run(verb, context)?,
        Verb::Explain(arguments) => explain::run(arguments, context)?,
        Verb::Top(arguments) => top::run(&arguments, context)?,
        Verb::Report(arguments) => report::run(&arguments, context)?,
        Verb::Tail(arguments) => tail::run(arguments, context)?,
        Verb::Log(verb) => log::run(verb, context)?,
        Verb::Audit(arguments) => audit::run(&arguments, context)?,
        Verb::Healthcheck => return healthcheck::run(context),
        Verb::Schema(of) => generated::schema(&of)?,
        Verb::Completions(arguments) => generated::completions(&arguments)?,
        Verb::Man => generated::man()?,
    }
    Ok(ExitCode::SUCCESS)
}
