//! Secrets that a configuration names files of.

use std::sync::Arc;

use tidegate_config::Config;

use crate::admin::Token;
use crate::pass::Keys;

/// What signs passes, and what is asked for over TCP, where there are any.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    pub(super) keys: Option<Arc<Keys>>,
    pub(super) token: Option<Arc<Token>>,
}

impl Secrets {
    /// Reads the files.
    ///
    /// # Errors
    /// When one of them is not good.
    pub fn read(config: &Config) -> anyhow::Result<Self> {
        let pass = config.known.pass.as_ref();
        let keys = pass.map(|pass| Keys::read(&pass.key_file)).transpose()?;
        let tcp = config.admin.tcp.as_ref();
        let token = tcp.map(|tcp| Token::read(&tcp.token_file)).transpose()?;
        Ok(Secrets {
            keys: keys.map(Arc::new),
            token: token.map(Arc::new),
        })
    }

    /// What is different in the next ones.
    pub(super) fn changes(&self, next: &Secrets) -> Vec<String> {
        let mut changes = Vec::new();
        if self.keys != next.keys && self.keys.is_some() && next.keys.is_some() {
            changes.push("known.pass.key_file: its keys are others".to_owned());
        }
        if self.token != next.token && self.token.is_some() && next.token.is_some() {
            changes.push("admin.token_file: its token is another one".to_owned());
        }
        changes
    }
}
