//! The machine's files behind [`ports::Disk`].
//!
//! What the kernel leaves open is settled here: a shortened file is durable when `truncate` returns, and `sync` covers
//! whatever any handle wrote to the file before the call.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ports::{Disk, DiskFile};

/// Files kept open for [`Disk::read_at`]. When there are more, all are closed and opened again as needed.
const READERS_MAX: usize = 64;

/// A directory of the machine. Every path is relative to it.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
    readers: Mutex<HashMap<PathBuf, Arc<File>>>,
}

impl RealDisk {
    /// Keeps everything below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        RealDisk { root: root.into(), readers: Mutex::default() }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    fn reader(&self, path: &Path) -> io::Result<Arc<File>> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = readers.get(path) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(self.at(path))?);
        if readers.len() >= READERS_MAX {
            readers.clear();
        }
        readers.insert(path.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    /// Forgets open readers at or below `path`, which is about to mean something else.
    fn forget(&self, path: &Path) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|open, _| !open.starts_with(path));
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.forget(path);
        // A fresh file rather than an emptied one: whoever still reads the old content is not disturbed.
        match fs::remove_file(self.at(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().append(true).create_new(true).open(self.at(path))?;
        Ok(Box::new(RealFile(file)))
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(OpenOptions::new().append(true).open(self.at(path))?)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(self.at(path))
    }

    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = self.reader(path)?;
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(self.at(path))?.len())
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.at(path))?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(self.at(directory)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names =
            entries.map(|entry| Ok(PathBuf::from(entry?.file_name()))).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(self.at(directory))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.forget(from);
        self.forget(to);
        fs::rename(self.at(from), self.at(to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.forget(path);
        fs::remove_file(self.at(path))
    }

    fn remove_dir_all(&self, directory: &Path) -> io::Result<()> {
        self.forget(directory);
        fs::remove_dir_all(self.at(directory))
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        File::open(self.at(directory))?.sync_all()
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_wrote_and_follows_renames() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path());
        disk.create_dir_all(Path::new("a/b")).unwrap();
        let (one, two) = (Path::new("a/b/1"), Path::new("a/2"));
        let mut file = disk.create(one).unwrap();
        file.append(b"hello").unwrap();
        file.sync().unwrap();
        assert_eq!(disk.read_at(one, 1, 100).unwrap(), b"ello");
        disk.open_append(one).unwrap().append(b" world").unwrap();
        disk.truncate(one, 7).unwrap();
        file.append(b"!").unwrap();
        assert_eq!(disk.read(one).unwrap(), b"hello w!");
        disk.rename(one, two).unwrap();
        assert!(disk.read_at(one, 0, 1).is_err());
        assert_eq!(disk.list(Path::new("a")).unwrap(), [Path::new("2"), Path::new("b")]);
        disk.create(two).unwrap();
        assert_eq!(disk.read_at(two, 0, 10).unwrap(), b"");
        assert_eq!(disk.list(Path::new("nowhere")).unwrap(), Vec::<PathBuf>::new());
    }
}
