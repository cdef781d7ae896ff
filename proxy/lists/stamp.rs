//! What the system says of files, to see whether they are other ones than before without reading them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::Lists;

/// Files that patterns match, and what would be different if one of them were: its number, its size,
/// when it was written, and when anything about it was changed. The last tells a file that was written
/// with an old date, as `cp -p` and `rsync` do. Links are followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(Vec<(PathBuf, Option<Facts>)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    file: (u64, u64),
    size: u64,
    mode: u32,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Lists<'_> {
    /// The files as they are now. Blocks for as long as their file system does.
    pub fn stamp(&self) -> Stamp {
        let files = self.patterns.iter().flat_map(|pattern| {
            // What cannot be expanded stands for itself, and is told of when it is read.
            self.expand(pattern)
                .unwrap_or_else(|_| vec![pattern.clone()])
        });
        Stamp(files.map(|path| (path.clone(), facts(path))).collect())
    }
}

fn facts(path: PathBuf) -> Option<Facts> {
    let meta = fs::metadata(path).ok()?;
    Some(Facts {
        file: (meta.dev(), meta.ino()),
        size: meta.size(),
        mode: meta.mode(),
        written: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}
