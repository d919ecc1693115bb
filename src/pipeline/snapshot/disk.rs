//! The disk as a snapshot sees it: one folder, a few operations, each of which may fail. `Folder` is a real one,
//! `memory::MemoryDisk` one for tests and simulation.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

/// Held while a daemon writes the snapshot, so that a second one on the same folder leaves it alone.
const LOCK: &str = "lock";

/// One folder of files. Only what was synced is there after a crash: contents by `sync`, names by `sync_names`.
pub trait Disk: Send {
    /// Makes an empty file, in place of any of that name.
    ///
    /// # Errors
    /// Those of the file system, as for all others.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Adds to the end of a file that `create` made. After an error part of it may be there.
    ///
    /// # Errors
    /// See `create`.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was appended durable. After an error nothing is known of the file, and it must not be used any more.
    ///
    /// # Errors
    /// See `create`.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Gives a file another name, in place of any that has it.
    ///
    /// # Errors
    /// See `create`.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Makes names durable: of files that were created, renamed or removed.
    ///
    /// # Errors
    /// See `create`.
    fn sync_names(&mut self) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// See `create`.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// The files there are, in no order.
    ///
    /// # Errors
    /// See `create`.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Opens a file for reading from its beginning.
    ///
    /// # Errors
    /// See `create`; `NotFound` if there is none of that name.
    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;
}

/// A folder of a real disk.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Files that are written to.
    open: BTreeMap<String, File>,
    /// Held, never used; `None` if the folder is only read.
    _lock: Option<File>,
}

impl Folder {
    /// Takes a folder for writing; makes it where there is none.
    ///
    /// # Errors
    /// When it cannot be made or written to; `WouldBlock` if another process writes there.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = private(&path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(ErrorKind::WouldBlock, "another tidegate writes there"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(Self { path: path.to_owned(), open: BTreeMap::new(), _lock: Some(lock) })
    }

    /// A folder for reading only, beside a running daemon or without one. Whether it exists is not looked at.
    #[must_use]
    pub fn to_read(path: &Path) -> Self {
        Self { path: path.to_owned(), open: BTreeMap::new(), _lock: None }
    }

    fn opened(&mut self, name: &str) -> io::Result<&mut File> {
        self.open.get_mut(name).ok_or_else(|| io::Error::new(ErrorKind::NotFound, "not a file that is written to"))
    }
}

/// A file that nobody else may read: state holds what senders wrote. Emptied if it is there.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl Disk for Folder {
    fn create(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        let file = private(&self.path.join(name))?;
        self.open.insert(name.to_owned(), file);
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.opened(name)?.write_all(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.opened(name)?.sync_data().inspect_err(|_| drop(self.open.remove(name)))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.open.remove(from);
        self.open.remove(to);
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        fs::remove_file(self.path.join(name))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        // A name that is no text is none of ours.
        fs::read_dir(&self.path)?
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }

    fn read(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.path.join(name))?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn content(disk: &Folder, name: &str) -> String {
        let mut text = String::new();
        disk.read(name).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn a_folder_does_what_the_trait_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/snapshot");
        let mut disk = Folder::open(&path).unwrap();
        for part in ["once ", "upon"] {
            if part == "once " {
                disk.create("new").unwrap();
            }
            disk.append("new", part.as_bytes()).unwrap();
        }
        disk.sync("new").unwrap();
        disk.rename("new", "named").unwrap();
        disk.sync_names().unwrap();
        assert_eq!(content(&disk, "named"), "once upon");
        assert_eq!(disk.append("named", b"x").unwrap_err().kind(), ErrorKind::NotFound, "it is closed by now");
        disk.create("named").unwrap();
        assert_eq!(content(&disk, "named"), "");
        let mut names = disk.names().unwrap();
        names.sort();
        assert_eq!(names, ["lock", "named"]);
        disk.remove("named").unwrap();
        assert_eq!(disk.read("named").map(drop).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn one_writes_and_others_may_look() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Folder::open(folder.path()).unwrap();
        first.create("a").unwrap();
        assert_eq!(Folder::open(folder.path()).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(Folder::to_read(folder.path()).read("a").is_ok());
        drop(first);
        assert!(Folder::open(folder.path()).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Folder::open(folder.path()).unwrap();
        disk.create("a").unwrap();
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
