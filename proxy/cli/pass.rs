//! `tidegate pass`: keys that sign passes, and passes that are not believed any more.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Subcommand;
use hyper::Method;

use super::{Context, Format, output};
use crate::admin::wire::{Changed, PassRequest};
use crate::pass::{Id, Keys, RevokedList};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Put a new key into the file that known.pass.key_file names; passes of the one before stay valid
    NewKey {
        /// The file, made if there is none
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Stop believing a pass, or all that there are, from the next request on
    Revoke {
        /// The number of a pass, as in the access log and in `tidegate explain`, or "all"
        #[arg(value_name = "ID|all", value_parser = parse_revoked)]
        id: String,
    },
    /// List the passes that were revoked
    List,
}

fn parse_revoked(text: &str) -> Result<String, String> {
    match text {
        "all" => Ok(text.to_owned()),
        id => id.parse().map(|id: Id| id.to_string()),
    }
}

pub(super) fn run(verb: Verb, context: &Context) -> anyhow::Result<()> {
    match verb {
        Verb::NewKey { file } => {
            let shown = file.display();
            output::text(&match Keys::renew(&file)? {
                true => format!(
                    "{shown} has a new key, and passes of the one before are still believed: `tidegate reload` takes it over\n"
                ),
                false => format!(
                    "{shown} has a new key: name it in known.pass.key_file, and see that the gate may read it\n"
                ),
            })
        }
        Verb::Revoke { id } => revoke(PassRequest { id }, context),
        Verb::List => list(context),
    }
}

fn revoke(request: PassRequest, context: &Context) -> anyhow::Result<()> {
    let client = context.client();
    let changed: Changed<PassRequest> = client.send(Method::DELETE, "/v1/passes", &request)?;
    output::changed(&changed, context, |revoked| match revoked.id.as_str() {
        "all" => "no pass of before is believed any more\n".to_owned(),
        id => format!("pass {id} is not believed any more\n"),
    })
}

fn list(context: &Context) -> anyhow::Result<()> {
    let list: RevokedList = context.client().get("/v1/passes")?;
    if context.format == Format::Json {
        return output::json(&list);
    }
    let mut text = String::new();
    for id in list.ids.keys() {
        writeln!(text, "{id}  revoked")?;
    }
    output::text(&text)?;
    let all = match list.epoch {
        0 => String::new(),
        epoch => format!(", and all given before {}", output::time(epoch / 1000)),
    };
    let why = list
        .problem
        .map_or_else(String::new, |why| format!(" ({why})"));
    eprintln!("{} passes revoked by number{all}{why}", list.ids.len());
    Ok(())
}
