//! What can be done about a source.

use hyper::Method;

use crate::admin::wire::{BlockRequest, Changed, KnownRequest, Unblock};
use crate::admin::{Client, ClientError};
use crate::prefixes::Added;
use crate::top::{Kind, Source};

/// For how long a client is blocked or allowed from here, in seconds: what is decided in a hurry ends by
/// itself.
const LASTING: u64 = 60 * 60;
const REASON: &str = "seen in tidegate top";

/// Something that is done once it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// `known`: it is a customer's.
    Block {
        prefix: String,
        known: bool,
    },
    Unblock {
        prefix: String,
    },
    Allow {
        prefix: String,
    },
}

/// What has become of it, in a sentence.
pub(super) type Done = Result<String, String>;

impl Action {
    /// Shuts it out, unless it is: the block that there is may be the longer one.
    pub fn block(source: &Source) -> Result<Self, String> {
        let (prefix, known) = (source.name.clone(), source.known);
        match source.blocked {
            true => Err(format!("{prefix} is blocked already")),
            false => Ok(Action::Block { prefix, known }),
        }
    }

    /// Lets it in: a block is lifted, and who is not blocked becomes known. Who is known may be so for
    /// longer than an hour, and stays that.
    pub fn allow(source: &Source, kind: Kind) -> Result<Self, String> {
        let prefix = source.name.clone();
        match (source.blocked, source.known && kind == Kind::Client) {
            (true, _) => Ok(Action::Unblock { prefix }),
            (false, true) => Err(format!("{prefix} is known already")),
            (false, false) => Ok(Action::Allow { prefix }),
        }
    }

    /// What is asked before it is done.
    pub fn question(&self) -> String {
        match self {
            Action::Block {
                prefix,
                known: true,
            } => {
                format!(
                    "{prefix} is, or has in it, a KNOWN CUSTOMER. Block it for an hour all the same? y/n"
                )
            }
            Action::Block { prefix, .. } => format!("Block {prefix} for an hour? y/n"),
            Action::Unblock { prefix } => format!("Lift the block of {prefix}? y/n"),
            Action::Allow { prefix } => {
                format!("Take {prefix} for a known customer for an hour? y/n")
            }
        }
    }

    /// Does it.
    pub fn carry_out(&self, gate: &Client) -> Done {
        let (changed, sentence) = match self {
            Action::Block { prefix, .. } => {
                let request = BlockRequest {
                    prefix: prefix.clone(),
                    seconds: Some(LASTING),
                    reason: Some(REASON.to_owned()),
                    force: false,
                };
                let changed = gate.send(Method::POST, "/v1/blocks", &request);
                (
                    changed,
                    format!("{prefix} is blocked for an hour; a lifts it"),
                )
            }
            Action::Unblock { prefix } => {
                let request = Unblock {
                    prefix: prefix.clone(),
                };
                let changed = gate.send(Method::DELETE, "/v1/blocks", &request);
                (changed, format!("{prefix} is no longer blocked"))
            }
            Action::Allow { prefix } => {
                let request = KnownRequest {
                    prefix: prefix.clone(),
                    seconds: Some(LASTING),
                    reason: Some(REASON.to_owned()),
                };
                let changed = gate.send(Method::POST, "/v1/known", &request);
                (changed, format!("{prefix} is known for an hour"))
            }
        };
        told(changed, sentence)
    }
}

fn told(changed: Result<Changed<Added>, ClientError>, sentence: String) -> Done {
    match changed {
        Ok(Changed {
            warning: Some(warning),
            ..
        }) => Ok(format!("{sentence} (warning: {warning})")),
        Ok(_) => Ok(sentence),
        Err(error) => Err(error.to_string()),
    }
}
