//! What is wrong with a configuration, said so that it can be put right.

use std::{fmt, io, path::PathBuf};

/// Why there is no [`Config`](crate::Config). Its text is for an operator: it
/// names the file, and where it can the line, the key, what was found and what
/// would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such file.
    #[error("{}: no such file; `tidegate init` writes one with every key explained", .path.display())]
    NotFound {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// The path names a folder.
    #[error("{}: a folder, but the configuration is one file, such as {}", .path.display(), .path.join("tidegate.toml").display())]
    Folder {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// The file is there and the system does not let it be read.
    #[error("{}: cannot be read: {reason}", .path.display())]
    Unreadable {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// The file is larger than 16 MiB, and is not read.
    #[error("{}: larger than 16 MiB, which no configuration is; is it the right file? Lists of addresses go into the files that known.files names", .path.display())]
    TooLarge {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// The file holds bytes that are no text.
    #[error("{}:{line}: byte {offset} of the file is 0x{byte:02x}, which is not UTF-8; save the file as UTF-8 text", .path.display())]
    NotUtf8 {
        /// The file that was asked for.
        path: PathBuf,
        /// The line of the first such byte, counted from 1.
        line: usize,
        /// Where it stands in the file, counted from 1.
        offset: usize,
        /// The byte.
        byte: u8,
    },
    /// There is no key in the file.
    #[error(
        "{file} is empty; the smallest configuration is:\n\n{}",
        crate::MINIMAL.trim_end()
    )]
    Empty {
        /// The file as it was named, or `configuration`.
        file: String,
    },
    /// The text is not TOML, or says something that cannot be.
    #[error("{}", paragraphs(.problems, *.more))]
    Invalid {
        /// What is wrong, in the order of the file: 1 to 20.
        problems: Vec<Problem>,
        /// How many more there are.
        more: usize,
    },
}

fn paragraphs(problems: &[Problem], more: usize) -> String {
    let mut shown: Vec<String> = problems.iter().map(Problem::to_string).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join("\n\n")
}

/// One thing that is wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// Where it was written.
    pub place: Place,
    /// The dotted key, such as `client.limit.rate`; empty when it is about the
    /// whole file.
    pub key: String,
    /// What was found, and what would be right.
    pub message: String,
    /// The line and a mark below it; empty when there is no line to show.
    pub excerpt: String,
    /// Where it stands in the source, to put problems in order.
    pub(crate) offset: usize,
}

impl Problem {
    /// The problem without its excerpt.
    pub(crate) fn in_one_line(&self) -> String {
        let Problem {
            place,
            key,
            message,
            ..
        } = self;
        if key.is_empty() {
            format!("{place}: {message}")
        } else {
            format!("{place}: {key}: {message}")
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.in_one_line())?;
        if !self.excerpt.is_empty() {
            write!(f, "\n{}", self.excerpt)?;
        }
        Ok(())
    }
}

/// Where something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// In the file as a whole, given as it was named.
    File(String),
    /// In a line of the file.
    Line {
        /// The file as it was named, or `configuration`.
        file: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// In this environment variable.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(file) => f.write_str(file),
            Place::Line { file, line } => write!(f, "{file}:{line}"),
            Place::Variable(name) => f.write_str(name),
        }
    }
}
