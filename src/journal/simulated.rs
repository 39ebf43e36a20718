//! A disk for tests: it loses what was not synced, tears writes, runs full, and fails at any call. Everything it does
//! follows from a seed.
//!
//! What survives [`SimDisk::power_cut`]: of each file, what was synced; of the rest, any 512-byte sectors, in no order,
//! holes filled with zeros; of each directory, the entries as they were at the last `sync_dir`, and of the changes since
//! then any subset. [`SimDisk::kill`] ends the process only: all that was written is still there.
//!
//! Not modelled: bit rot (use [`SimDisk::flip_bit`]), short reads, slow calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ports::{Disk, DiskFile};

const SECTOR: usize = 512;

/// What a call does instead of working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fails with `EIO`. An append leaves a random part of its bytes; a failed sync loses what it should have written.
    Error,
    /// As [`Fault::Error`], and so does every call after it, until the next power cut or kill.
    Crash,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    random: u64,
    calls: u64,
    fault: Option<(u64, Fault)>,
    crashed: bool,
    /// Grows with each power cut and kill; handles of an earlier boot are dead.
    boot: u64,
    capacity: Option<u64>,
    next_file: u64,
    files: BTreeMap<u64, Content>,
    live: Tree,
    durable: Tree,
    /// Changes of directories since they were synced, in order.
    pending: Vec<EntryChange>,
    log: VecDeque<Call>,
}

/// How many calls are remembered.
const CALLS_REMEMBERED: usize = 200;

/// A call, for the message of a failing test.
struct Call {
    number: u64,
    what: &'static str,
    path: PathBuf,
    failing: Option<Fault>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.number, self.what, self.path.display())?;
        self.failing.map_or(Ok(()), |fault| write!(f, " <- {fault:?}"))
    }
}

#[derive(Clone, Default)]
struct Tree {
    directories: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, u64>,
}

#[derive(Clone, Debug)]
enum EntryChange {
    File(PathBuf, u64),
    Directory(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

#[derive(Clone, Default)]
struct Content {
    /// As programs see it.
    live: Vec<u8>,
    /// As it is on the medium. Shorter or equal; never changed before `synced`.
    medium: Vec<u8>,
    synced: usize,
}

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        let mut world = World { random: seed, ..World::default() };
        world.live.directories.insert(PathBuf::new());
        world.durable.directories.insert(PathBuf::new());
        SimDisk(Arc::new(Mutex::new(world)))
    }

    /// As a port.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// The call with this number (the first is 0) goes wrong. Reading calls count as well.
    pub fn fail_at(&self, call: u64, fault: Fault) {
        self.world().fault = Some((call, fault));
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.world().calls
    }

    /// Room for this many bytes in all files together; `None` for any number.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.world().capacity = bytes;
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        self.world().used()
    }

    /// The power goes and comes back. Handles from before are dead.
    pub fn power_cut(&self) {
        let mut world = self.world();
        world.apply_some_pending();
        let ids: Vec<u64> = world.files.keys().copied().collect();
        for id in ids {
            let mut content = world.files.remove(&id).unwrap_or_default();
            world.lose_unsynced(&mut content);
            world.files.insert(id, content);
        }
        world.live = world.durable.clone();
        world.restart();
    }

    /// The process ends; the machine goes on. Handles from before are dead.
    pub fn kill(&self) {
        self.world().restart();
    }

    /// Flips one bit of a file, on the medium and in what is read.
    pub fn flip_bit(&self, path: &Path, bit: u64) {
        let mut world = self.world();
        let id = world.live.files[path];
        let content = world.files.get_mut(&id).expect("a file has content");
        let at = (bit / 8) as usize % content.live.len();
        content.live[at] ^= 1 << (bit % 8);
        if let Some(byte) = content.medium.get_mut(at) {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// All files with their content, in order of paths.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let world = self.world();
        world.live.files.iter().map(|(path, id)| (path.clone(), world.files[id].live.clone())).collect()
    }

    /// Puts a durable file there, with the directories above it.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut world = self.world();
        let id = world.new_file();
        world.files.insert(id, Content { live: bytes.to_vec(), medium: bytes.to_vec(), synced: bytes.len() });
        for directory in path.ancestors().skip(1) {
            world.live.directories.insert(directory.to_owned());
            world.durable.directories.insert(directory.to_owned());
        }
        world.live.files.insert(path.to_owned(), id);
        world.durable.files.insert(path.to_owned(), id);
    }

    /// The last calls, for the message of a failing test.
    pub fn history(&self) -> String {
        self.world().log.iter().map(Call::to_string).collect::<Vec<_>>().join("\n")
    }

    /// A random number of the disk's own sequence.
    pub fn random(&self) -> u64 {
        self.world().random()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = self.world();
        write!(f, "SimDisk after {} calls with {} files", world.calls, world.live.files.len())
    }
}

fn failure() -> io::Error {
    io::Error::other("simulated input/output error")
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl World {
    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.random() % (n as u64).max(1)) as usize
    }

    fn restart(&mut self) {
        self.boot += 1;
        self.crashed = false;
        self.fault = None;
        self.log.clear();
    }

    fn used(&self) -> u64 {
        self.live.files.values().map(|id| self.files[id].live.len() as u64).sum()
    }

    fn new_file(&mut self) -> u64 {
        self.next_file += 1;
        self.next_file
    }

    /// Counts a call; an error if it is to fail.
    fn call(&mut self, what: &'static str, path: &Path) -> io::Result<()> {
        if self.crashed {
            return Err(failure());
        }
        let number = self.calls;
        self.calls += 1;
        let failing = self.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
        // The place of the oldest is used again: this is done very often.
        let mut remembered = match self.log.len() < CALLS_REMEMBERED {
            true => PathBuf::new(),
            false => self.log.pop_front().map(|call| call.path).unwrap_or_default(),
        };
        remembered.as_mut_os_string().clear();
        remembered.as_mut_os_string().push(path);
        self.log.push_back(Call { number, what, path: remembered, failing });
        match failing {
            None => Ok(()),
            Some(fault) => {
                self.crashed = fault == Fault::Crash;
                Err(failure())
            }
        }
    }

    fn content(&mut self, path: &Path) -> io::Result<&mut Content> {
        let id = self.live.files.get(path).copied().ok_or_else(not_found)?;
        Ok(self.files.entry(id).or_default())
    }

    fn append(&mut self, id: u64, bytes: &[u8]) -> io::Result<()> {
        let room = self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()));
        let fits = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.files.entry(id).or_default().live.extend_from_slice(&bytes[..fits]);
        if fits < bytes.len() { Err(full()) } else { Ok(()) }
    }

    fn change(&mut self, change: EntryChange) {
        apply(&mut self.live, &change);
        self.pending.push(change);
    }

    fn apply_some_pending(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            if self.random().is_multiple_of(2) {
                apply(&mut self.durable, &change);
            }
        }
    }

    fn lose_unsynced(&mut self, content: &mut Content) {
        let unsynced = content.live.len().saturating_sub(content.synced);
        let end = content.synced + self.below(unsynced + 1);
        content.medium.truncate(end.max(content.synced));
        content.medium.resize(end, 0);
        let mut sector = content.synced;
        while sector < end {
            let next = ((sector / SECTOR + 1) * SECTOR).min(end);
            if self.random().is_multiple_of(2) {
                content.medium[sector..next].copy_from_slice(&content.live[sector..next]);
            }
            sector = next;
        }
        content.live = content.medium.clone();
        content.synced = content.live.len();
    }
}

fn apply(tree: &mut Tree, change: &EntryChange) {
    let parent_exists =
        |tree: &Tree, path: &Path| path.parent().is_none_or(|parent| tree.directories.contains(parent));
    match change {
        EntryChange::File(path, id) if parent_exists(tree, path) => {
            tree.files.insert(path.clone(), *id);
        }
        EntryChange::Directory(path) if parent_exists(tree, path) => {
            tree.directories.insert(path.clone());
        }
        EntryChange::Rename(from, to) => {
            if let Some(id) = tree.files.remove(from) {
                tree.files.insert(to.clone(), id);
            }
        }
        EntryChange::Remove(path) => {
            tree.files.remove(path);
            tree.files.retain(|file, _| !file.starts_with(path));
            tree.directories.retain(|directory| !directory.starts_with(path));
        }
        EntryChange::File(..) | EntryChange::Directory(_) => {}
    }
}

fn touches(change: &EntryChange, directory: &Path) -> bool {
    let path = match change {
        EntryChange::File(path, _) | EntryChange::Directory(path) | EntryChange::Remove(path) => path,
        // Synced with its target, as file systems with a journal do.
        EntryChange::Rename(_, to) => to,
    };
    path.parent().unwrap_or(Path::new("")) == directory
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.world();
        world.call("create", path)?;
        if !path.parent().is_none_or(|parent| world.live.directories.contains(parent)) {
            return Err(not_found());
        }
        let id = world.new_file();
        world.files.insert(id, Content::default());
        world.change(EntryChange::File(path.to_owned(), id));
        Ok(Box::new(SimFile { disk: self.clone(), id, boot: world.boot, path: path.to_owned() }))
    }

    fn open_append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.world();
        world.call("open", path)?;
        let id = world.live.files.get(path).copied().ok_or_else(not_found)?;
        Ok(Box::new(SimFile { disk: self.clone(), id, boot: world.boot, path: path.to_owned() }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut world = self.world();
        world.call("read", path)?;
        Ok(world.content(path)?.live.clone())
    }

    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut world = self.world();
        world.call("read_at", path)?;
        let live = &world.content(path)?.live;
        let start = live.len().min(offset as usize);
        Ok(live[start..live.len().min(start + len)].to_vec())
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let mut world = self.world();
        world.call("len", path)?;
        Ok(world.content(path)?.live.len() as u64)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut world = self.world();
        world.call("truncate", path)?;
        let content = world.content(path)?;
        let len = len as usize;
        content.live.truncate(len);
        content.medium.truncate(len);
        // Durable at once, what is left of the unsynced end included or not.
        content.synced = content.synced.min(len);
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut world = self.world();
        world.call("list", directory)?;
        let Tree { directories, files } = &world.live;
        let inside = |path: &&PathBuf| path.parent() == Some(directory);
        let mut names: Vec<PathBuf> = directories
            .iter()
            .filter(inside)
            .chain(files.keys().filter(inside))
            .filter_map(|path| path.file_name().map(PathBuf::from))
            .collect();
        names.sort();
        Ok(names)
    }

    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call("create_dir_all", directory)?;
        let mut missing: Vec<PathBuf> = directory
            .ancestors()
            .filter(|path| !world.live.directories.contains(*path))
            .map(Path::to_owned)
            .collect();
        missing.reverse();
        for path in missing {
            world.change(EntryChange::Directory(path));
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call("rename", from)?;
        if !world.live.files.contains_key(from) {
            return Err(not_found());
        }
        world.change(EntryChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call("remove_file", path)?;
        if !world.live.files.contains_key(path) {
            return Err(not_found());
        }
        world.change(EntryChange::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_dir_all(&self, directory: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call("remove_dir_all", directory)?;
        world.change(EntryChange::Remove(directory.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.call("sync_dir", directory)?;
        let pending = std::mem::take(&mut world.pending);
        for change in pending {
            if touches(&change, directory) {
                apply(&mut world.durable, &change);
            } else {
                world.pending.push(change);
            }
        }
        Ok(())
    }
}

struct SimFile {
    disk: SimDisk,
    id: u64,
    boot: u64,
    path: PathBuf,
}

impl DiskFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.disk.world();
        if world.boot != self.boot {
            return Err(failure());
        }
        if let Err(error) = world.call("append", &self.path) {
            let part = world.below(bytes.len() + 1);
            let _ = world.append(self.id, &bytes[..part]);
            return Err(error);
        }
        world.append(self.id, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut world = self.disk.world();
        if world.boot != self.boot {
            return Err(failure());
        }
        let result = world.call("sync", &self.path);
        let crashed = world.crashed;
        let content = world.files.entry(self.id).or_default();
        let end = content.live.len();
        if result.is_ok() {
            let from = content.synced.min(end);
            content.medium.truncate(from);
            content.medium.extend_from_slice(&content.live[from..]);
            content.synced = end;
        } else if !crashed {
            // The pages are clean now, and not on the medium: a later sync will not write them.
            content.medium.resize(end, 0);
            content.synced = end;
        }
        result
    }
}
