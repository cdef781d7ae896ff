//! Regular files, read whole and not beyond a bound, and replaced whole.

use std::fs::{self, File};
use std::io::{self, Read, Take};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// The bytes of a file of at most so many.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path, most)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// As [`read`], of a file that should be a secret, and whether everybody on this machine may read or
/// change it.
///
/// # Errors
/// As [`open`].
pub fn read_secret(path: &Path, most: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut file = open(path, most)?;
    // Of the file that is read, whatever takes its place meanwhile.
    let mode = file.get_ref().metadata()?.permissions().mode();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((bytes, mode & 0o006 != 0))
}

/// A file of at most so many bytes; what it grows by while it is read does not come.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger.
pub fn open(path: &Path, most: u64) -> io::Result<Take<File>> {
    // Opening a named pipe would wait for somebody who writes to it.
    let file = File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        let found = if meta.is_dir() { "a folder, " } else { "" };
        return Err(io::Error::other(format!("it is {found}not a regular file")));
    }
    if meta.len() > most {
        return Err(io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(file.take(most))
}

/// Replaces a file, which need not be there, by what `write` writes: into another file beside it, then
/// to the disk, then into its place. At whatever instant the machine stops, the path names all of the
/// old file or all of the new one. It is its owner's alone, unless `write` makes it somebody else's.
/// What is given back is the new file, at the place that `write` has come to.
///
/// # Errors
/// When it cannot be written: the file stays as it was, and nothing is left beside it. Or when the disk
/// does not confirm that the new file is in its place.
pub fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<File> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = File::open(folder.unwrap_or(Path::new(".")))?;
    let beside = path.with_added_extension("new");
    let file = write_beside(&beside, write).and_then(|file| {
        fs::rename(&beside, path)?;
        Ok(file)
    });
    if file.is_err() {
        // It may be what fills the disk.
        let _ = fs::remove_file(&beside);
    }
    let file = file?;
    // A new name is in the folder, and that may not be on the disk yet.
    match folder.sync_all() {
        Err(error) if !has_no_sync(&error) => Err(error),
        _ => Ok(file),
    }
}

fn write_beside(
    beside: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(beside)?;
    write(&mut file)?;
    file.sync_all()?;
    Ok(file)
}

/// Some file systems cannot write folders to the disk by themselves.
fn has_no_sync(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, Unsupported};
    matches!(error.kind(), InvalidInput | Unsupported)
}

/// Moves a damaged file aside, so that the next writing does not destroy what could be recovered by
/// hand, and says where it is.
///
/// # Errors
/// When there is one aside already, which is not lost by it, or it cannot be moved.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension("damaged");
    // A link and not a renaming: that would replace what is there.
    fs::hard_link(path, &aside)?;
    fs::remove_file(path)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_replaced_is_all_of_the_old_or_all_of_the_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let written = |text: &'static str| replace(&path, |file| file.write_all(text.as_bytes()));
        let names = || fs::read_dir(folder.path()).unwrap().count();
        written("old and long").unwrap();
        written("new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let broken = replace(&path, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(broken.is_err());
        assert_eq!((fs::read(&path).unwrap(), names()), (b"new".to_vec(), 1));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let nowhere = folder.path().join("gone/state.json");
        assert!(replace(&nowhere, |_| Ok(())).is_err());
    }

    #[test]
    fn a_second_damaged_file_does_not_replace_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        fs::write(&path, "first").unwrap();
        let aside = set_aside(&path).unwrap();
        fs::write(&path, "second").unwrap();
        assert!(set_aside(&path).is_err());
        assert_eq!(fs::read_to_string(aside).unwrap(), "first");
        assert_eq!(fs::read_to_string(path).unwrap(), "second");
    }

    #[test]
    fn a_secret_is_one_when_others_may_neither_read_nor_change_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "it").unwrap();
        for (mode, public) in [(0o600, false), (0o640, false), (0o604, true), (0o602, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = read_secret(&path, 9).unwrap();
            assert_eq!(read, (b"it".to_vec(), public), "{mode:o}");
        }
    }
}
