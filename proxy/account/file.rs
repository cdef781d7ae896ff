//! A file of lines: whole ones only, a new file when one is full, opened anew when it is not there any
//! more.
//!
//! The crates that rotate files (file-rotate, rolling-file, logroller) panic on some errors, drop
//! lines in silence on others, leave torn lines behind a full disk, and write on into a file that has
//! been removed.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tidegate_config::Rotate;

/// How long a file that was removed or moved may go unnoticed.
const LOOK: Duration = Duration::from_secs(1);

/// A file that is replaced by a new one before it grows too large.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    /// A reload may change it.
    rotate: Arc<ArcSwap<Rotate>>,
    /// How many earlier files it has kept so far. Files beyond those are somebody else's, such as
    /// logrotate's.
    kept: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    length: u64,
    /// Device and number: which file it is, whatever it is called.
    identity: (u64, u64),
    /// Others (a pipe, /dev/full) have no length.
    regular: bool,
    looked: Instant,
}

impl RotatingFile {
    /// Opens it for appending.
    pub(super) fn open(path: PathBuf, rotate: Arc<ArcSwap<Rotate>>) -> io::Result<Self> {
        let mut file = RotatingFile {
            path,
            kept: rotate.load().keep,
            rotate,
            open: None,
        };
        file.reopen()?;
        Ok(file)
    }

    /// Opens whatever has the name now.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.open = None;
        self.open = Some(Open::new(&self.path)?);
        Ok(())
    }

    /// Appends one line whole, or nothing. After an error the file is opened anew.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let open = self.open.take();
        let open = open.and_then(|open| open.while_there(&self.path));
        let open = open.map_or_else(|| Open::new(&self.path), Ok)?;
        let mut open = self.with_room(open, line.len() as u64)?;
        open.append(line)?;
        self.open = Some(open);
        Ok(())
    }

    /// This file, or a new one when this one has no room for so many bytes.
    fn with_room(&mut self, open: Open, bytes: u64) -> io::Result<Open> {
        let Rotate { size, keep } = **self.rotate.load();
        if !open.regular || open.length == 0 || open.length + bytes <= size {
            return Ok(open);
        }
        // Another process takes over or is taken over from, and has the same thought. While it moves
        // this file, a line may still go into it.
        if matches!(open.file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Ok(open);
        }
        if open.is_still(&self.path) {
            self.rotate(keep)?;
        }
        Open::new(&self.path)
    }

    /// Makes room for a new file: the total stays below that of the files that are kept.
    fn rotate(&mut self, keep: u32) -> io::Result<()> {
        for number in keep + 1..=self.kept {
            unless_missing(fs::remove_file(self.numbered(number)))?;
        }
        self.kept = keep;
        for number in (1..keep).rev() {
            unless_missing(fs::rename(self.numbered(number), self.numbered(number + 1)))?;
        }
        unless_missing(fs::rename(&self.path, self.numbered(1)))
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o640).open(path)?;
        let metadata = file.metadata()?;
        Ok(Open {
            file,
            length: metadata.len(),
            identity: (metadata.dev(), metadata.ino()),
            regular: metadata.is_file(),
            looked: Instant::now(),
        })
    }

    /// This file while it has its name; looked at once in a while.
    fn while_there(mut self, path: &Path) -> Option<Self> {
        if self.looked.elapsed() < LOOK {
            return Some(self);
        }
        self.looked = Instant::now();
        // Another process may write into it, too.
        self.length = self.file.metadata().ok()?.len();
        self.is_still(path).then_some(self)
    }

    /// Whether the name is still this file's.
    fn is_still(&self, path: &Path) -> bool {
        let found = fs::metadata(path);
        found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let mut rest = line;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(written @ 1..) => rest = rest.get(written..).unwrap_or_default(),
                Ok(_) => {
                    return self.give_up(line.len() - rest.len(), io::ErrorKind::WriteZero.into());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.give_up(line.len() - rest.len(), error),
            }
        }
        self.length += line.len() as u64;
        Ok(())
    }

    /// Takes back so much of a line that could not be written whole, unless others wrote meanwhile.
    fn give_up(&self, torn: usize, error: io::Error) -> io::Result<()> {
        if torn > 0 && self.regular && self.file.metadata()?.len() == self.length + torn as u64 {
            self.file.set_len(self.length)?;
        }
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"{\"line\":\"of thirty two bytes\"}\n\n";

    fn rotating(folder: &tempfile::TempDir, size: u64, keep: u32) -> RotatingFile {
        let rotate = Arc::new(ArcSwap::from_pointee(Rotate { size, keep }));
        RotatingFile::open(folder.path().join("log"), rotate).unwrap()
    }

    fn lengths(folder: &tempfile::TempDir) -> Vec<(String, u64)> {
        let entries = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
        let mut lengths: Vec<_> = entries
            .map(|entry| {
                (
                    entry.file_name().into_string().unwrap(),
                    entry.metadata().unwrap().len(),
                )
            })
            .collect();
        lengths.sort();
        lengths
    }

    fn names(lengths: &[(String, u64)]) -> Vec<&str> {
        lengths.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn files_stay_within_their_total_and_hold_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = rotating(&folder, 100, 2);
        for _ in 0..50 {
            log.write(LINE).unwrap();
        }
        let lengths = lengths(&folder);
        assert_eq!(names(&lengths), ["log", "log.1", "log.2"]);
        for (name, length) in &lengths {
            assert!(*length <= 100 && length % 32 == 0, "{name}: {length}");
        }
    }

    #[test]
    fn what_was_there_counts_and_what_others_keep_stays() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["log", "log.1", "log.3", "log.9", "log.1.gz"] {
            fs::write(folder.path().join(name), [b'x'; 90]).unwrap();
        }
        let mut log = rotating(&folder, 100, 2);
        log.write(LINE).unwrap();
        assert_eq!(
            names(&lengths(&folder)),
            ["log", "log.1", "log.1.gz", "log.2", "log.3", "log.9"]
        );
        assert_eq!(fs::read(folder.path().join("log")).unwrap(), LINE);
    }

    #[test]
    fn who_keeps_fewer_from_now_on_removes_its_own() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("log.9"), b"somebody else's").unwrap();
        let mut log = rotating(&folder, 40, 4);
        let write = |log: &mut RotatingFile| (0..10).for_each(|_| log.write(LINE).unwrap());
        write(&mut log);
        log.rotate.store(Arc::new(Rotate { size: 40, keep: 2 }));
        write(&mut log);
        assert_eq!(names(&lengths(&folder)), ["log", "log.1", "log.2", "log.9"]);
    }

    #[test]
    fn a_line_that_is_larger_than_a_file_has_one_to_itself() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = rotating(&folder, 10, 1);
        log.write(LINE).unwrap();
        log.write(LINE).unwrap();
        assert_eq!(lengths(&folder), [("log".into(), 32), ("log.1".into(), 32)]);
    }

    #[test]
    fn a_file_that_cannot_be_moved_does_not_grow() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("log.2")).unwrap();
        let mut log = rotating(&folder, 100, 2);
        let written = (0..10).filter(|_| log.write(LINE).is_ok()).count();
        assert_eq!(written, 6, "two files of three");
    }

    #[test]
    fn two_that_write_into_one_file_rotate_it_once() {
        let folder = tempfile::tempdir().unwrap();
        let [mut one, mut other] = [rotating(&folder, 100, 4), rotating(&folder, 100, 4)];
        for _ in 0..4 {
            one.write(LINE).unwrap();
        }
        for _ in 0..4 {
            other.write(LINE).unwrap();
        }
        let total: u64 = lengths(&folder).iter().map(|(_, length)| length).sum();
        assert_eq!(total, 8 * 32, "nothing is lost: {:?}", lengths(&folder));
    }

    #[test]
    fn two_that_rotate_at_once_lose_nothing() {
        const LINES: usize = 400;
        let folder = tempfile::tempdir().unwrap();
        let line = |who: usize, number: usize| format!("{who} {number:>28}\n\n");
        std::thread::scope(|scope| {
            for who in 0..2 {
                let mut log = rotating(&folder, 320, 99);
                scope.spawn(move || {
                    (0..LINES).for_each(|number| log.write(line(who, number).as_bytes()).unwrap());
                });
            }
        });
        let files = lengths(&folder).into_iter();
        let texts = files.map(|(name, _)| fs::read_to_string(folder.path().join(name)).unwrap());
        let texts = texts.collect::<String>();
        let lines: Vec<&str> = texts.split_inclusive("\n\n").collect();
        assert_eq!(lines.len(), 2 * LINES);
        for (who, number) in (0..2).flat_map(|who| (0..LINES).map(move |number| (who, number))) {
            let line = line(who, number);
            assert!(lines.contains(&line.as_str()), "lost: {line}");
        }
    }
}
