//! Compiled components on disk: compiling takes up to seconds, loading less than a millisecond.
//!
//! ```text
//! DIR/key                        32 random bytes, 0600
//! DIR/<digest>-<environment>     "FHCC0001" | HMAC-SHA-256, 32 bytes | the compiled component
//! ```
//!
//! `digest` is of the component, `environment` of wasmtime's version, its configuration and the CPU's features. Loading
//! compiled code is as good as running it, so a file is only loaded if the MAC under our own key is right; one that was
//! changed by a single bit is compiled again. Safe to delete.

use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

const MAGIC: &[u8; 8] = b"FHCC0001";
const MAC_BYTES: usize = 32;

/// A folder of compiled components.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    environment: String,
}

impl Cache {
    /// Opens or makes the folder and its key.
    pub(super) fn open(folder: &Path, engine: &Engine) -> io::Result<Cache> {
        fs::create_dir_all(folder)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let environment = format!("{:016x}", hasher.finish());
        Ok(Cache { folder: folder.to_owned(), key: key(&folder.join("key"))?, environment })
    }

    /// The component of this digest, if it is there and ours.
    pub(super) fn load(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let bytes = fs::read(self.path(digest)).ok()?;
        let Some(compiled) = self.authentic(&bytes, digest) else {
            tracing::warn!(digest, "A compiled component in the cache is not ours; it is compiled again.");
            return None;
        };
        #[expect(unsafe_code, reason = "loading our own compiled code is the point of the cache")]
        // SAFETY: the bytes were made by `Component::serialize` in this program with this engine's configuration, and have
        // not changed since: their MAC under a key that only we can read says so, over digest and environment too.
        let component = unsafe { Component::deserialize(engine, compiled) };
        component
            .inspect_err(|error| tracing::warn!(digest, %error, "A compiled component cannot be loaded; it is compiled again."))
            .ok()
    }

    /// Keeps a compiled component. A cache that cannot be written costs time, and nothing else.
    pub(super) fn store(&self, digest: &str, component: &Component) {
        let stored = component
            .serialize()
            .map_err(io::Error::other)
            .and_then(|compiled| self.write(digest, &compiled));
        if let Err(error) = stored {
            tracing::warn!(digest, %error, "A compiled component was not kept.");
        }
    }

    fn write(&self, digest: &str, compiled: &[u8]) -> io::Result<()> {
        let path = self.path(digest);
        let staged = path.with_extension("new");
        let mut file = private(&staged)?;
        file.write_all(MAGIC)?;
        file.write_all(&self.mac(digest, compiled).finalize().into_bytes())?;
        file.write_all(compiled)?;
        drop(file);
        fs::rename(staged, path)
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}-{}", self.environment))
    }

    fn authentic<'a>(&self, bytes: &'a [u8], digest: &str) -> Option<&'a [u8]> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (mac, compiled) = rest.split_at_checked(MAC_BYTES)?;
        self.mac(digest, compiled).verify_slice(mac).ok()?;
        Some(compiled)
    }

    fn mac(&self, digest: &str, compiled: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        for part in [MAGIC.as_slice(), digest.as_bytes(), b"\0", self.environment.as_bytes(), b"\0", compiled]
        {
            mac.update(part);
        }
        mac
    }
}

/// The key in `path`, made if it is not there.
fn key(path: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    if let Ok(bytes) = fs::read(path)
        && let Ok(known) = <[u8; 32]>::try_from(bytes)
    {
        return Ok(known);
    }
    fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    private(path)?.write_all(&key)?;
    Ok(key)
}

/// A new file that only we can read.
fn private(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> Engine {
        super::super::engine::engine(4).unwrap()
    }

    #[test]
    fn a_changed_file_is_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine();
        let cache = Cache::open(folder.path(), &engine).unwrap();
        let component = Component::new(&engine, wat::parse_str("(component)").unwrap()).unwrap();
        assert!(cache.load(&engine, "d").is_none());
        cache.store("d", &component);
        assert!(cache.load(&engine, "d").is_some());
        let path = cache.path("d");
        let good = fs::read(&path).unwrap();
        for at in [0, MAGIC.len(), MAGIC.len() + MAC_BYTES, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            assert!(cache.load(&engine, "d").is_none(), "bit at {at}");
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(cache.load(&engine, "d").is_none(), "truncated");
        // Under another component's name it is not ours either.
        fs::write(cache.path("e"), &good).unwrap();
        assert!(cache.load(&engine, "e").is_none(), "renamed");
        fs::write(&path, &good).unwrap();
        let again = Cache::open(folder.path(), &engine).unwrap();
        assert!(again.load(&engine, "d").is_some(), "the key is kept");
    }
}
