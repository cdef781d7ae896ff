//! The framing of a chunked body on its way through (RFC 9112 section 7.1).
//!
//! The gate does not decode the body; it has to know where the body ends, so that what follows is
//! the next request and nothing else, and it refuses framing that two parsers read differently.

/// What is wrong with a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// Two parsers could read its framing differently; the text says what is wrong.
    #[error("{0}")]
    Malformed(&'static str),
    /// Its chunks have more bytes together than the body may have.
    #[error("the body is too large")]
    TooLarge,
}

/// Follows a chunked body through its bytes, however they are cut.
#[derive(Clone, Copy, Debug)]
pub struct Chunks {
    state: State,
    /// Bytes of the line or of the trailers so far, so that neither can grow without end.
    line: usize,
    /// Bytes that further chunks may have.
    left: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In the digits of a size; the number of digits seen.
    Size {
        size: u64,
        digits: u8,
    },
    /// In an extension, which is passed over.
    Extension {
        size: u64,
    },
    /// After the CR of a size line.
    SizeFeed {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataFeed,
    /// At the start of a trailer line.
    Trailer,
    /// In the name of a trailer field.
    TrailerName,
    /// In its value.
    TrailerLine,
    TrailerFeed,
    /// After the CR of the empty line that ends the body.
    LastFeed,
    Done,
}

/// Bytes of a size line with its extensions, and of all the trailers together.
const MAX_LINE: usize = 4096;
/// A size of more digits does not fit the counter.
const MAX_DIGITS: u8 = 15;

const SIZE: State = State::Size { size: 0, digits: 0 };

impl Chunks {
    /// Of a body of at most this many bytes, framing not counted.
    pub fn new(most: u64) -> Self {
        Chunks {
            state: SIZE,
            line: 0,
            left: most,
        }
    }

    /// Whether the last byte of the body has been seen.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes the next bytes and says how many of them belong to the body; fewer than all of them
    /// only when the body is done.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, ChunkError> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.state {
                State::Done => break,
                State::Data { left } => taken += self.data(left, rest.len()),
                _ => {
                    if let Some(&byte) = rest.first() {
                        self.state = self.step(byte)?;
                        taken += 1;
                    }
                }
            }
        }
        Ok(taken)
    }

    fn data(&mut self, left: u64, available: usize) -> usize {
        let here = usize::try_from(left).map_or(available, |left| left.min(available));
        let left = left.saturating_sub(here as u64);
        self.state = if left == 0 {
            State::DataReturn
        } else {
            State::Data { left }
        };
        here
    }

    fn step(&mut self, byte: u8) -> Result<State, ChunkError> {
        self.line += 1;
        if self.line > MAX_LINE {
            let problem = "a chunk's line or the trailers are too long";
            return Err(ChunkError::Malformed(problem));
        }
        match (self.state, byte) {
            (State::Size { size, digits }, _) => size_byte(size, digits, byte),
            (State::Extension { size }, b'\r') => Ok(State::SizeFeed { size }),
            (State::Extension { size }, 0x20..=0x7e | 0x80.. | b'\t') => {
                Ok(State::Extension { size })
            }
            (State::SizeFeed { size }, b'\n') => {
                self.line = 0;
                // Refused by its announcement: none of its bytes is passed on.
                self.left = self.left.checked_sub(size).ok_or(ChunkError::TooLarge)?;
                Ok(match size {
                    0 => State::Trailer,
                    left => State::Data { left },
                })
            }
            (State::DataReturn, b'\r') => Ok(State::DataFeed),
            (State::DataFeed, b'\n') => {
                self.line = 0;
                Ok(SIZE)
            }
            (State::Trailer, b'\r') => Ok(State::LastFeed),
            (State::Trailer | State::TrailerName, byte) if is_token(byte) => Ok(State::TrailerName),
            (State::TrailerName, b':') | (State::TrailerLine, 0x20..=0x7e | 0x80.. | b'\t') => {
                Ok(State::TrailerLine)
            }
            (State::TrailerLine, b'\r') => Ok(State::TrailerFeed),
            (State::TrailerFeed, b'\n') => Ok(State::Trailer),
            (State::LastFeed, b'\n') => Ok(State::Done),
            _ => Err(ChunkError::Malformed("the chunked body is malformed")),
        }
    }
}

/// A character of a field name (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn size_byte(size: u64, digits: u8, byte: u8) -> Result<State, ChunkError> {
    if let Some(value) = char::from(byte).to_digit(16) {
        if digits == MAX_DIGITS {
            return Err(ChunkError::Malformed("a chunk's size is too large"));
        }
        return Ok(State::Size {
            size: size << 4 | u64::from(value),
            digits: digits + 1,
        });
    }
    match byte {
        _ if digits == 0 => Err(ChunkError::Malformed("a chunk has no size")),
        b'\r' => Ok(State::SizeFeed { size }),
        b';' => Ok(State::Extension { size }),
        _ => Err(ChunkError::Malformed(
            "a chunk's size is not a hexadecimal number",
        )),
    }
}
