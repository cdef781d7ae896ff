//! How this process was started, to start the next one in the same way.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf, absolute};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

use crate::notify;
use crate::processes::end;

/// The argument that names the socket of the process to take over from.
pub(super) const TAKE_OVER: &str = "--take-over";
/// Bytes of what it says.
const NAME: u64 = 200;

/// The program and its arguments.
#[derive(Clone, Debug)]
pub struct Origin {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Origin {
    /// How this very process was started. To be asked at its start: later the program's file may be
    /// another one, which is what an upgrade is for.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn of_this_process() -> io::Result<Self> {
        let mut arguments = env::args_os();
        let named = arguments.next().and_then(|name| find(&name));
        // By the path as it was given: where it is a link, a newer version may be behind it by then.
        let named = named.filter(|path| is_same_file(path, Path::new("/proc/self/exe")));
        Ok(Origin {
            program: named.map_or_else(env::current_exe, Ok)?,
            arguments: without_take_over(arguments.collect()),
        })
    }

    /// The program.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Asks for the version of what the program's file is now.
    pub(super) fn ask(&self) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.program);
        let asked = command.arg("--version").stdin(Stdio::null());
        let asked = asked.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        asked.with_context(|| self.not_started())
    }

    /// The version that it says, which it has had its time to say.
    ///
    /// # Errors
    /// When it does not say that it is a gate.
    pub(super) fn version(&self, mut named: Child) -> anyhow::Result<String> {
        let shown = self.program.display();
        end(&mut named);
        let mut said = Vec::new();
        if let Some(stdout) = named.stdout.take() {
            stdout.take(NAME).read_to_end(&mut said)?;
        }
        let said = String::from_utf8_lossy(&said);
        let version = said.trim().strip_prefix("tidegate ");
        match version.filter(|version| !version.contains(char::is_control)) {
            Some(version) => Ok(version.to_owned()),
            None => bail!("{shown} is no tidegate: asked for its --version, it says {said:?}"),
        }
    }

    /// Starts the program again, with the arguments and the environment of this process, to take over
    /// from it.
    pub(super) fn start(&self, socket: &Path) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(TAKE_OVER).arg(socket);
        notify::hand_watchdog_to(&mut command);
        command.spawn().with_context(|| self.not_started())
    }

    fn not_started(&self) -> String {
        format!("{} cannot be started", self.program.display())
    }
}

/// The arguments that this process was started with by a user: the ones that an earlier process put
/// behind them are gone.
fn without_take_over(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let own = arguments.len().saturating_sub(2);
    if arguments
        .get(own)
        .is_some_and(|argument| argument == TAKE_OVER)
    {
        arguments.truncate(own);
    }
    arguments
}

/// The file that a shell starts for this name.
fn find(name: &OsStr) -> Option<PathBuf> {
    if Path::new(name).components().count() > 1 {
        return absolute(name).ok();
    }
    let folders = env::var_os("PATH")?;
    let mut files = env::split_paths(&folders).map(|folder| folder.join(name));
    absolute(files.find(|file| file.is_file())?).ok()
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let of = |path| fs::metadata(path).map(|meta| (meta.dev(), meta.ino()));
    matches!((of(one), of(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::processes::ended_by;

    #[test]
    fn this_process_is_found_and_what_an_earlier_one_added_is_not_handed_on() {
        let origin = Origin::of_this_process().unwrap();
        assert!(is_same_file(origin.program(), Path::new("/proc/self/exe")));
        let given = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        for (before, after) in [
            (&["run", TAKE_OVER, "/s"][..], &["run"][..]),
            (&["run", "--config", "/f"], &["run", "--config", "/f"]),
            (&["run"], &["run"]),
            (&[], &[]),
        ] {
            assert_eq!(without_take_over(given(before)), given(after));
        }
    }

    #[test]
    fn a_name_without_a_path_is_looked_for_where_a_shell_does() {
        let found = find(OsStr::new("sh")).unwrap();
        assert!(found.is_absolute() && found.is_file(), "{found:?}");
        assert_eq!(find(OsStr::new("no-such-program-here")), None);
    }

    #[test]
    fn a_program_that_is_no_gate_is_named_with_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let (long, short) = (Duration::from_secs(20), Duration::from_millis(100));
        for (script, within, part) in [
            ("#!/bin/sh\necho tidegate 7.8.9\n", long, Ok("7.8.9")),
            (
                "#!/bin/sh\necho something else\n",
                long,
                Err("something else"),
            ),
            ("#!/bin/sh\nexec yes tidegate\n", short, Err("no tidegate")),
            ("#!/bin/sh\nexec sleep 1000\n", short, Err("no tidegate")),
            ("not a program", long, Err("cannot be started")),
        ] {
            let program = folder.path().join("program");
            fs::write(&program, script).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            let origin = Origin {
                program,
                arguments: Vec::new(),
            };
            let version = origin.ask().and_then(|mut named| {
                let deadline = Instant::now() + within;
                ended_by(deadline, || named.try_wait().unwrap().is_some());
                origin.version(named)
            });
            match (version, part) {
                (Ok(version), Ok(wanted)) => assert_eq!(version, wanted),
                (Err(error), Err(part)) => {
                    assert!(format!("{error:#}").contains(part), "{error:#}")
                }
                (got, wanted) => panic!("{got:?} instead of {wanted:?}"),
            }
        }
    }
}
