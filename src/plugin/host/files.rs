//! Files that the operator granted, read-only.
//!
//! A path is opened inside the grant's root without going through magic links, the kernel says where it really ended,
//! and only then is that place compared with the grant and the file read through the same handle: nothing can be swapped in
//! between. Never reachable, whatever the grant says: other processes' and our own entries in /proc, kernel memory, the
//! kernel's log, devices.

use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

use super::{Call, limit};
use crate::limits::{READ_CALL_BYTES, READ_CALLS, READ_FILE_BYTES};
use crate::{ErrorKind, HostError};

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) directory: bool,
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileSystem {
    pub(crate) block_size: u64,
    pub(crate) blocks: u64,
    pub(crate) blocks_free: u64,
    pub(crate) blocks_available: u64,
    pub(crate) inodes: u64,
    pub(crate) inodes_free: u64,
    pub(crate) read_only: bool,
}

/// What `uname` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    pub(crate) sysname: String,
    pub(crate) release: String,
    pub(crate) version: String,
    pub(crate) machine: String,
    pub(crate) nodename: String,
    pub(crate) domainname: String,
}

/// The granted paths and globs. To list a directory, the directory itself must be granted.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileGrant(Arc<Grant>);

#[derive(Debug, Default)]
struct Grant {
    root: Option<PathBuf>,
    /// Files and directories themselves.
    paths: GlobSet,
    /// The text of the grants, for messages.
    texts: Vec<String>,
}

/// Links of the kernel's own that lead into our own entry in /proc, and to nothing but what they say.
const KERNEL_LINKS: [(&str, &str); 2] = [("/proc/net", "net"), ("/proc/mounts", "mounts")];
/// Names in /proc that are memory or other processes.
const NEVER: [&str; 8] = ["self", "thread-self", "kcore", "kmsg", "mem", "environ", "kpagecount", "kallsyms"];

impl FileGrant {
    /// From paths and globs; `*` stays inside one name, `**` does not. An error names the glob.
    pub(crate) fn new(root: Option<PathBuf>, paths: &[String]) -> Result<FileGrant, String> {
        let mut set = GlobSetBuilder::new();
        for path in paths {
            set.add(glob(path)?);
        }
        let paths_set = set.build().map_err(|problem| problem.to_string())?;
        // The kernel answers with real paths; a root that is a link would match none of them.
        let root = root.map(|root| root.canonicalize().unwrap_or(root));
        Ok(FileGrant(Arc::new(Grant { root, paths: paths_set, texts: paths.to_vec() })))
    }

    fn denied(&self, path: &str) -> HostError {
        let granted = if self.0.texts.is_empty() { "nothing".to_owned() } else { self.0.texts.join(", ") };
        HostError::new(
            ErrorKind::Denied,
            format!("the file `{}` is not granted (granted: {granted})", path.escape_debug()),
        )
    }

    /// Whether a path as the plugin writes it is granted, and is none of those that never are.
    fn check(&self, path: &str) -> Result<(), HostError> {
        if is_plain(path) && !is_never(path) && self.0.paths.is_match(path) {
            return Ok(());
        }
        Err(self.denied(path))
    }

    /// Opens `path` without reading from it, and makes sure that it really is where the grant says.
    fn locate(&self, path: &str) -> Result<Located, HostError> {
        self.check(path)?;
        let root = self.0.root.as_deref().unwrap_or(Path::new("/"));
        let base = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|problem| failed("root", problem))?;
        let flags = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let handle = rustix::fs::openat2(
            &base,
            path.trim_start_matches('/'),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            flags,
        )
        .map_err(|problem| failed(path, problem))?;
        let real = std::fs::read_link(proc_fd(&handle)).map_err(|problem| failed_io(path, &problem))?;
        let inside = real.strip_prefix(root).map_err(|_| self.denied(path))?;
        let inside = Path::new("/").join(inside);
        let inside = inside.to_str().ok_or_else(|| self.denied(path))?;
        let inside = through_kernel_link(path, inside);
        if inside != path {
            // A link led here. Where it led must be granted as well.
            self.check(&inside)?;
        }
        let kind = FileType::from_raw_mode(
            rustix::fs::fstat(&handle).map_err(|problem| failed(path, problem))?.st_mode,
        );
        Ok(Located { handle, kind })
    }

    fn read(&self, path: &str, max: usize) -> Result<Vec<u8>, HostError> {
        let located = self.locate(path)?;
        if located.kind != FileType::RegularFile {
            return Err(HostError::new(ErrorKind::Denied, format!("`{path}` is not a regular file")));
        }
        let file =
            std::fs::File::open(proc_fd(&located.handle)).map_err(|problem| failed_io(path, &problem))?;
        let mut bytes = Vec::new();
        file.take(max as u64 + 1).read_to_end(&mut bytes).map_err(|problem| failed_io(path, &problem))?;
        if bytes.len() > max {
            return Err(limit("file_bytes", format!("the file `{path}` is longer than {max} bytes")));
        }
        Ok(bytes)
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, HostError> {
        let located = self.locate(path)?;
        if located.kind != FileType::Directory {
            return Err(HostError::new(ErrorKind::Permanent, format!("`{path}` is not a directory")));
        }
        let entries =
            std::fs::read_dir(proc_fd(&located.handle)).map_err(|problem| failed_io(path, &problem))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|problem| failed_io(path, &problem))?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            names.push(Entry { name, directory });
        }
        names.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(names)
    }

    fn read_link(&self, path: &str) -> Result<String, HostError> {
        self.check(path)?;
        let root = self.0.root.as_deref().unwrap_or(Path::new("/"));
        let base = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|problem| failed("root", problem))?;
        let handle = rustix::fs::openat2(
            &base,
            path.trim_start_matches('/'),
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
        .map_err(|problem| failed(path, problem))?;
        let target =
            rustix::fs::readlinkat(&handle, "", Vec::new()).map_err(|problem| failed(path, problem))?;
        target.into_string().map_err(|_| failed(path, rustix::io::Errno::ILSEQ))
    }

    fn file_system(&self, path: &str) -> Result<FileSystem, HostError> {
        // Sizes give nothing away; where the table of mounts may be read, its mount points may be measured.
        let measurable =
            self.check(path).is_ok() || (self.check("/proc/mounts").is_ok() && self.is_mount_point(path));
        if !measurable {
            return Err(self.denied(path));
        }
        let place = match &self.0.root {
            Some(root) => root.join(path.trim_start_matches('/')),
            None => PathBuf::from(path),
        };
        let stat = rustix::fs::statvfs(&place).map_err(|problem| failed(path, problem))?;
        Ok(FileSystem {
            block_size: if stat.f_frsize > 0 { stat.f_frsize } else { stat.f_bsize },
            blocks: stat.f_blocks,
            blocks_free: stat.f_bfree,
            blocks_available: stat.f_bavail,
            inodes: stat.f_files,
            inodes_free: stat.f_ffree,
            read_only: stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        })
    }

    fn is_mount_point(&self, path: &str) -> bool {
        let Ok(table) = self.read("/proc/mounts", READ_FILE_BYTES) else { return false };
        let table = String::from_utf8_lossy(&table);
        is_plain(path)
            && table
                .lines()
                .filter_map(|line| line.split(' ').nth(1))
                .any(|point| unescape_mount(point) == path)
    }
}

struct Located {
    handle: OwnedFd,
    kind: FileType,
}

fn proc_fd(handle: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

fn glob(path: &str) -> Result<Glob, String> {
    if !Path::new(path).is_absolute() {
        return Err(format!("`{path}` is not an absolute path"));
    }
    GlobBuilder::new(path)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|problem| format!("`{path}` is not a path or glob: {problem}"))
}

/// Absolute, without `.`, `..`, empty names and zero bytes.
fn is_plain(path: &str) -> bool {
    let names = || path.split('/').skip(1);
    path.starts_with('/')
        && !path.contains('\0')
        && (path == "/" || names().all(|name| !name.is_empty() && name != "." && name != ".."))
        && Path::new(path).components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
}

/// Whether a path is one that no grant opens.
fn is_never(path: &str) -> bool {
    let mut names = path.split('/').filter(|name| !name.is_empty());
    let first = names.next().unwrap_or("");
    let second = names.next().unwrap_or("");
    let rest: Vec<&str> = names.collect();
    match first {
        "proc" => {
            let process = !second.is_empty() && second.bytes().all(|b| b.is_ascii_digit());
            process || NEVER.contains(&second) || rest.iter().any(|name| matches!(*name, "mem" | "environ"))
        }
        "dev" => true,
        _ => second == "kernel" && rest.first() == Some(&"debug") && first == "sys",
    }
}

/// `/proc/net` and `/proc/mounts` are links into our own entry; the plugin may know them by the names it used.
fn through_kernel_link(asked: &str, real: &str) -> String {
    for (link, name) in KERNEL_LINKS {
        let inside_link = asked == link || asked.strip_prefix(link).is_some_and(|rest| rest.starts_with('/'));
        let own = real.strip_prefix("/proc/").and_then(|rest| rest.split_once('/'));
        if let (true, Some((process, rest))) = (inside_link, own)
            && process.bytes().all(|b| b.is_ascii_digit())
            && let Some(rest) = rest.strip_prefix(name)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return format!("{link}{rest}");
        }
    }
    real.to_owned()
}

/// The table of mounts writes blanks as `\040`.
fn unescape_mount(point: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = point.as_bytes();
    while let Some((byte, rest)) = bytes.split_first() {
        let octal =
            rest.get(..3).filter(|digits| *byte == b'\\' && digits.iter().all(|d| (b'0'..b'8').contains(d)));
        match octal {
            Some(digits) => {
                let code = digits.iter().fold(0u32, |code, d| code * 8 + u32::from(d - b'0'));
                out.push(code as u8);
                bytes = &rest[3..];
            }
            None => {
                out.push(*byte);
                bytes = rest;
            }
        }
    }
    OsStr::from_bytes(&out).to_string_lossy().into_owned()
}

fn failed(path: &str, problem: rustix::io::Errno) -> HostError {
    failed_io(path, &problem.into())
}

fn failed_io(path: &str, problem: &std::io::Error) -> HostError {
    HostError::new(ErrorKind::Permanent, format!("`{path}`: {problem}"))
}

fn kernel() -> Kernel {
    let name = rustix::system::uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    Kernel {
        sysname: text(name.sysname()),
        release: text(name.release()),
        version: text(name.version()),
        machine: text(name.machine()),
        nodename: text(name.nodename()),
        domainname: text(name.domainname()),
    }
}

impl Call {
    /// The whole file.
    pub(crate) async fn read_file(&self, path: String) -> Result<Vec<u8>, HostError> {
        let mut read = self.read_files(vec![path]).await;
        read.pop().unwrap_or_else(|| Err(limit("files", "no file was read")))
    }

    /// Many files, each with its own outcome.
    pub(crate) async fn read_files(&self, paths: Vec<String>) -> Vec<Result<Vec<u8>, HostError>> {
        let wanted = paths.len();
        let left = match self.touch(wanted) {
            Ok(left) => left,
            Err(error) => return vec![Err(error); wanted],
        };
        let grant = self.profile.files.clone();
        let work = move || {
            let mut left = left;
            let mut read = Vec::with_capacity(paths.len());
            for path in &paths {
                let bytes = grant.read(path, READ_FILE_BYTES.min(left));
                left -= bytes.as_ref().map_or(0, Vec::len);
                read.push(bytes);
            }
            read
        };
        let read = match self.on_disk(work).await {
            Ok(read) => read,
            Err(error) => vec![Err(error); wanted],
        };
        self.used().file_bytes += read.iter().flatten().map(Vec::len).sum::<usize>();
        read.into_iter().map(|outcome| self.counted("read_file", outcome)).collect()
    }

    /// The names in a directory, sorted.
    pub(crate) async fn list_directory(&self, path: String) -> Result<Vec<Entry>, HostError> {
        let outcome = self.with_files(move |grant| grant.list(&path)).await;
        self.counted("list_directory", outcome)
    }

    /// Where a link leads, as it is written.
    pub(crate) async fn read_link(&self, path: String) -> Result<String, HostError> {
        let outcome = self.with_files(move |grant| grant.read_link(&path)).await;
        self.counted("read_link", outcome)
    }

    /// How full the file system of `path` is.
    pub(crate) async fn file_system(&self, path: String) -> Result<FileSystem, HostError> {
        let outcome = self.with_files(move |grant| grant.file_system(&path)).await;
        self.counted("file_system", outcome)
    }

    /// Name and release of the kernel.
    pub(crate) fn uname(&self) -> Result<Kernel, HostError> {
        self.counted("uname", Ok(kernel()))
    }

    async fn with_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&FileGrant) -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, HostError> {
        self.touch(1)?;
        let grant = self.profile.files.clone();
        self.on_disk(move || work(&grant)).await?
    }

    /// Runs `work` where it may block: a network file system can take its time, and must not take ours.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HostError> {
        let done = self.in_time(tokio::task::spawn_blocking(work)).await?;
        done.map_err(|_| HostError::new(ErrorKind::Retryable, "reading was given up"))
    }

    /// Counts `files`; the answer is how many bytes may still be read.
    fn touch(&self, files: usize) -> Result<usize, HostError> {
        let mut used = self.used();
        used.files = used.files.saturating_add(u32::try_from(files).unwrap_or(u32::MAX));
        if used.files > READ_CALLS {
            return Err(limit("files", format!("more than {READ_CALLS} files in one call")));
        }
        let left = READ_CALL_BYTES.saturating_sub(used.file_bytes);
        if left == 0 {
            return Err(limit(
                "file_bytes",
                format!("more than {READ_CALL_BYTES} bytes of files in one call"),
            ));
        }
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grant(root: &Path, paths: &[&str]) -> FileGrant {
        let paths: Vec<String> = paths.iter().map(|p| (*p).to_owned()).collect();
        FileGrant::new(Some(root.to_owned()), &paths).unwrap()
    }

    fn kind(outcome: Result<Vec<u8>, HostError>) -> String {
        match outcome {
            Ok(bytes) => String::from_utf8(bytes).unwrap(),
            Err(error) => error.kind.to_string(),
        }
    }

    #[test]
    fn nothing_outside_the_grant_is_read() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("sys/net/eth0")).unwrap();
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(root.join("sys/net/eth0/up"), "1").unwrap();
        std::fs::write(root.join("etc/shadow"), "x").unwrap();
        std::os::unix::fs::symlink("../../etc/shadow", root.join("sys/net/link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), root.join("sys/net/out")).unwrap();
        std::os::unix::fs::symlink("net/eth0/up", root.join("sys/inside")).unwrap();
        let grant = grant(root, &["/sys/net/**", "/sys/inside", "/etc", "/proc/**", "/dev/**"]);
        for (path, expected) in [
            ("/sys/net/eth0/up", "1"),
            ("/sys/inside", "1"),
            ("/sys/net/link", "denied"),
            ("/sys/net/out", "permanent"),
            ("/etc/shadow", "denied"),
            ("/sys/net/../../etc/shadow", "denied"),
            ("/sys/net//eth0/up", "denied"),
            ("/sys/net/./eth0/up", "denied"),
            ("sys/net/eth0/up", "denied"),
            ("/sys/net/eth0", "denied"),
            ("/sys/net/none", "permanent"),
            ("", "denied"),
        ] {
            assert_eq!(kind(grant.read(path, 100)), expected, "{path}");
        }
    }

    #[test]
    fn some_of_proc_is_never_read() {
        let grant = FileGrant::new(None, &["/proc/**".into(), "/dev/**".into()]).unwrap();
        for path in [
            "/proc/self/environ",
            "/proc/self/mem",
            "/proc/thread-self/environ",
            "/proc/1/environ",
            "/proc/kcore",
            "/proc/kmsg",
            "/dev/mem",
            "/dev/zero",
            "/proc/net/../environ",
            "/proc/self",
        ] {
            assert_eq!(grant.read(path, 100).unwrap_err().kind, ErrorKind::Denied, "{path}");
        }
        let pid = std::process::id();
        assert!(grant.read(&format!("/proc/{pid}/environ"), 100).is_err());
        assert!(grant.read("/proc/stat", 1 << 20).is_ok());
        assert!(grant.read("/proc/net/dev", 1 << 20).is_ok());
        assert!(grant.read("/proc/mounts", 1 << 20).is_ok());
        assert!(grant.list("/proc/net").is_ok());
        assert!(grant.file_system("/").is_ok());
        assert!(grant.file_system("/nowhere").is_err());
    }

    proptest! {
        /// Whatever a plugin writes as a path: nothing outside of what is granted.
        #[test]
        fn no_path_leads_out(names in proptest::collection::vec("(\\.|\\.\\.|in|out|secret|link|/)", 1..6)) {
            let outer = tempfile::tempdir().unwrap();
            let root = outer.path().join("root");
            std::fs::create_dir_all(root.join("in")).unwrap();
            std::fs::create_dir_all(root.join("out")).unwrap();
            std::fs::write(root.join("in/secret"), "granted").unwrap();
            std::fs::write(root.join("out/secret"), "not granted").unwrap();
            std::fs::write(outer.path().join("secret"), "not granted").unwrap();
            std::os::unix::fs::symlink("../out", root.join("in/link")).unwrap();
            std::os::unix::fs::symlink("../..", root.join("in/out")).unwrap();
            let path = format!("/{}", names.join("/"));
            if let Ok(bytes) = grant(&root, &["/in/**"]).read(&path, 100) {
                prop_assert_eq!(bytes, b"granted".to_vec(), "{}", path);
            }
        }
    }

    #[test]
    fn a_file_longer_than_allowed_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("long"), vec![b'x'; 101]).unwrap();
        let grant = grant(folder.path(), &["/long"]);
        assert_eq!(grant.read("/long", 100).unwrap_err().kind, ErrorKind::Limit);
        assert_eq!(grant.read("/long", 101).unwrap().len(), 101);
    }

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(unescape_mount("/mnt/a\\040b"), "/mnt/a b");
        assert_eq!(unescape_mount("/mnt/a\\04"), "/mnt/a\\04");
    }
}
