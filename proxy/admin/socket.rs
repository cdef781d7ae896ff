//! Unix sockets of their owner alone, and of one gate alone.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A bound Unix socket. Its file is removed when the gate ends or does not come to start, if it is
/// still the gate's own.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
    /// Whether the file is this gate's to remove.
    owned: bool,
    /// What it is called where somebody has to be told.
    name: &'static str,
}

impl Socket {
    /// Binds `path` with mode 0600, over the socket of a gate that is gone. `name` is what it is called
    /// in errors.
    ///
    /// # Errors
    /// When another gate answers there, something else than a socket has the name, or the folder
    /// does not allow it.
    pub fn bind(path: &Path, name: &'static str) -> anyhow::Result<Socket> {
        let shown = path.display();
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(|| format!("{name} {shown}: its folder cannot be made"))?;
        }
        check_free(path, name)?;
        // Bound under another name, made private, then renamed: at no time is there a socket at
        // `path` that others may open, and an old one is replaced in one step.
        // A short name, for the path of a socket has little room.
        let beside = path.with_file_name(format!(".{}", std::process::id()));
        let bind = || -> io::Result<(UnixListener, u64)> {
            let listener = UnixListener::bind(&beside)?;
            fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))?;
            let inode = fs::metadata(&beside)?.ino();
            fs::rename(&beside, path)?;
            Ok((listener, inode))
        };
        let (listener, inode) = bind().with_context(|| {
            // A path too long for a socket, a folder of somebody else: the error says which.
            let _ = fs::remove_file(&beside);
            format!("{name} {shown}")
        })?;
        Ok(Socket {
            listener,
            path: path.to_owned(),
            inode,
            owned: true,
            name,
        })
    }

    /// Goes on with the socket of another gate, whose file it is until [`Socket::own`].
    ///
    /// # Errors
    /// When the file is gone.
    pub fn inherit(path: &Path, listener: UnixListener, name: &'static str) -> io::Result<Socket> {
        Ok(Socket {
            listener,
            path: path.to_owned(),
            inode: fs::metadata(path)?.ino(),
            owned: false,
            name,
        })
    }

    /// Makes the file this gate's: the other one leaves it.
    pub fn own(&mut self) {
        self.owned = true;
    }

    /// Leaves the file to another gate, which goes on with the socket.
    pub fn leave(mut self) {
        self.owned = false;
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's number.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// A copy of the socket that does not wait for connections.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn accepting(&self) -> anyhow::Result<UnixListener> {
        let copy = || {
            let listener = self.listener.try_clone()?;
            listener.set_nonblocking(true)?;
            Ok::<_, io::Error>(listener)
        };
        copy().context(self.name)
    }

    /// The socket for the admin runtime, in whose context this must be called.
    ///
    /// # Errors
    /// When the runtime does not take it.
    pub fn listener(&self) -> anyhow::Result<tokio::net::UnixListener> {
        tokio::net::UnixListener::from_std(self.accepting()?).context(self.name)
    }
}

impl Drop for Socket {
    /// Removes the file, unless a later gate has put its own in the place.
    fn drop(&mut self) {
        let same = || fs::metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode);
        if self.owned && same() {
            // What cannot be removed is found to be stale at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn check_free(path: &Path, name: &str) -> anyhow::Result<()> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => bail!("{name} {shown}: {error}"),
        Ok(meta) if !meta.file_type().is_socket() => bail!(
            "{name} {shown}: a file that is not a socket has this name; remove it, or choose another path"
        ),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!(
            "{name} {shown}: another gate answers there; stop it, or give this one its own {name}"
        ),
        // Nobody listens: it is left over from a gate that did not end in order.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => bail!("{name} {shown}: {error}"),
    }
}
