//! The admin socket: of its owner alone, and of one gate alone.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A bound admin socket. Its file is removed when the gate ends or does not come to start, if it is
/// still the gate's own.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Binds `path` with mode 0600, over the socket of a gate that is gone.
    ///
    /// # Errors
    /// When another gate answers there, something else than a socket has the name, or the folder
    /// does not allow it.
    pub fn bind(path: &Path) -> anyhow::Result<Socket> {
        let shown = path.display();
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(|| format!("admin.socket {shown}: its folder cannot be made"))?;
        }
        check_free(path)?;
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
            format!("admin.socket {shown}")
        })?;
        Ok(Socket {
            listener,
            path: path.to_owned(),
            inode,
        })
    }

    /// The socket for the admin runtime, in whose context this must be called.
    ///
    /// # Errors
    /// When the runtime does not take it.
    pub fn listener(&self) -> anyhow::Result<tokio::net::UnixListener> {
        let listener = self.listener.try_clone().context("admin.socket")?;
        listener.set_nonblocking(true).context("admin.socket")?;
        tokio::net::UnixListener::from_std(listener).context("admin.socket")
    }
}

impl Drop for Socket {
    /// Removes the file, unless a later gate has put its own in the place.
    fn drop(&mut self) {
        let own = fs::metadata(&self.path).is_ok_and(|meta| meta.ino() == self.inode);
        if own {
            // What cannot be removed is found to be stale at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn check_free(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => bail!("admin.socket {shown}: {error}"),
        Ok(meta) if !meta.file_type().is_socket() => bail!(
            "admin.socket {shown}: a file that is not a socket has this name; remove it, or choose another path"
        ),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => bail!(
            "admin.socket {shown}: another gate answers there; stop it, or give this one its own admin.socket"
        ),
        // Nobody listens: it is left over from a gate that did not end in order.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => bail!("admin.socket {shown}: {error}"),
    }
}
