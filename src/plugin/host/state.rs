//! Small state of one plugin, kept across calls and restarts.
//!
//! A call works on a snapshot and sees its own writes; they are committed together after it has succeeded, so a call
//! that fails or traps leaves no trace. On disk each entry is one change of a [`Coord`]:
//!
//! ```text
//! key    "plugin/" NAME "/" KEY
//! value  version 1: u8 | expires, ms since the epoch, i64 little endian, i64::MIN for never | the plugin's bytes
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use model::Timestamp;
use ports::{Change, Coord, CoordError};

use super::{Call, limit, lock};
use crate::limits::{STATE_BYTES, STATE_KEY_BYTES, STATE_KEYS, STATE_VALUE_BYTES};
use crate::{ErrorKind, HostError};

const PREFIX: &str = "plugin/";
const VERSION: u8 = 1;
const NEVER: i64 = i64::MIN;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    value: Bytes,
    expires: Option<Timestamp>,
}

impl Kept {
    fn is_alive(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|at| now < at)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.expires.map_or(NEVER, Timestamp::as_millis).to_le_bytes());
        out.extend_from_slice(&self.value);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Kept> {
        let (version, rest) = bytes.split_first()?;
        let (expires, value) = rest.split_first_chunk::<8>()?;
        let expires = i64::from_le_bytes(*expires);
        (*version == VERSION).then(|| Kept {
            value: Bytes::copy_from_slice(value),
            expires: (expires != NEVER).then_some(Timestamp::from_millis(expires)),
        })
    }
}

type Snapshot = Arc<BTreeMap<String, Kept>>;

/// The state of all plugins of a host.
pub(crate) struct StateStore {
    coord: Option<Arc<dyn Coord>>,
    plugins: Mutex<HashMap<String, Snapshot>>,
    /// Commits go one by one, so that memory and disk see them in one order.
    commits: tokio::sync::Mutex<()>,
}

/// What a call has read from and means to write.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    base: Snapshot,
    /// `None` deletes.
    writes: BTreeMap<String, Option<Kept>>,
}

impl StateStore {
    /// Reads what is kept. Without a `coord` state lives as long as the process.
    pub(crate) fn open(coord: Option<Arc<dyn Coord>>) -> Result<StateStore, CoordError> {
        let mut plugins: HashMap<String, BTreeMap<String, Kept>> = HashMap::new();
        for (key, value) in coord.as_ref().map(|c| c.load()).transpose()?.unwrap_or_default() {
            let Some((plugin, key)) = std::str::from_utf8(&key)
                .ok()
                .and_then(|key| key.strip_prefix(PREFIX))
                .and_then(|key| key.split_once('/'))
            else {
                continue;
            };
            if let Some(kept) = Kept::decode(&value) {
                plugins.entry(plugin.to_owned()).or_default().insert(key.to_owned(), kept);
            }
        }
        let plugins = plugins.into_iter().map(|(name, entries)| (name, Arc::new(entries))).collect();
        Ok(StateStore { coord, plugins: Mutex::new(plugins), commits: tokio::sync::Mutex::new(()) })
    }

    pub(crate) fn begin(&self, plugin: &str) -> Transaction {
        let base = lock(&self.plugins).get(plugin).cloned().unwrap_or_default();
        Transaction { base, writes: BTreeMap::new() }
    }

    /// Keeps what `transaction` wrote. Entries that have expired are removed on the way.
    pub(crate) async fn commit(
        &self,
        plugin: &str,
        transaction: Transaction,
        now: Timestamp,
    ) -> Result<(), HostError> {
        let mut writes = transaction.writes;
        writes.retain(|key, write| write.as_ref() != transaction.base.get(key));
        if writes.is_empty() {
            return Ok(());
        }
        let _one_by_one = self.commits.lock().await;
        let mut entries = (*self.begin(plugin).base).clone();
        for (key, kept) in &entries {
            if !kept.is_alive(now) && !writes.contains_key(key) {
                writes.insert(key.clone(), None);
            }
        }
        if let Some(coord) = &self.coord {
            let changes: Vec<Change> = writes
                .iter()
                .map(|(key, write)| Change {
                    key: format!("{PREFIX}{plugin}/{key}").into_bytes(),
                    value: write.as_ref().map(Kept::encode),
                })
                .collect();
            coord.commit(&[], changes).await.map_err(|error| {
                HostError::new(ErrorKind::Retryable, format!("state was not kept: {error}"))
            })?;
        }
        for (key, write) in writes {
            match write {
                Some(kept) => drop(entries.insert(key, kept)),
                None => drop(entries.remove(&key)),
            }
        }
        lock(&self.plugins).insert(plugin.to_owned(), Arc::new(entries));
        Ok(())
    }

    /// Number of keys and bytes of a plugin's state.
    pub(crate) fn size(&self, plugin: &str) -> (usize, usize) {
        let base = self.begin(plugin).base;
        (base.len(), base.iter().map(|(key, kept)| key.len() + kept.value.len()).sum())
    }
}

impl Transaction {
    fn get(&self, key: &str, now: Timestamp) -> Option<Bytes> {
        let kept = match self.writes.get(key) {
            Some(write) => write.as_ref(),
            None => self.base.get(key),
        };
        kept.filter(|kept| kept.is_alive(now)).map(|kept| kept.value.clone())
    }

    /// Everything that is there after the writes so far.
    fn entries(&self, now: Timestamp) -> impl Iterator<Item = (&String, &Kept)> {
        let kept = self.base.iter().filter(|(key, _)| !self.writes.contains_key(*key));
        let written = self.writes.iter().filter_map(|(key, write)| Some((key, write.as_ref()?)));
        kept.chain(written).filter(move |(_, kept)| kept.is_alive(now))
    }

    fn set(&mut self, key: &str, kept: Kept, now: Timestamp) -> Result<(), HostError> {
        if key.len() > STATE_KEY_BYTES {
            return Err(limit(
                "state",
                format!("a state key of {} bytes; {STATE_KEY_BYTES} are allowed", key.len()),
            ));
        }
        if kept.value.len() > STATE_VALUE_BYTES {
            return Err(limit(
                "state",
                format!(
                    "a state value of {} bytes for `{key}`; {STATE_VALUE_BYTES} are allowed",
                    kept.value.len()
                ),
            ));
        }
        let others = self.entries(now).filter(|(other, _)| *other != key);
        let (keys, bytes) =
            others.fold((1, 0), |(keys, bytes), (k, v)| (keys + 1, bytes + k.len() + v.value.len()));
        if keys > STATE_KEYS {
            return Err(limit("state", format!("more than {STATE_KEYS} keys of state")));
        }
        if bytes + key.len() + kept.value.len() > STATE_BYTES {
            return Err(limit("state", format!("more than {STATE_BYTES} bytes of state")));
        }
        self.writes.insert(key.to_owned(), Some(kept));
        Ok(())
    }
}

impl Call {
    /// The value of `key`, if it is there and has not expired.
    pub(crate) fn state_get(&self, key: &str) -> Option<Bytes> {
        let value = lock(&self.transaction).get(key, self.now());
        let _ = self.counted("state_get", Ok(()));
        value
    }

    /// Sets `key`, for ever or for `ttl`.
    pub(crate) fn state_set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), HostError> {
        let now = self.now();
        let kept = Kept { value, expires: ttl.map(|ttl| now + ttl) };
        let outcome = lock(&self.transaction).set(key, kept, now);
        self.counted("state_set", outcome)
    }

    /// Removes `key`.
    pub(crate) fn state_delete(&self, key: &str) {
        lock(&self.transaction).writes.insert(key.to_owned(), None);
        let _ = self.counted("state_delete", Ok(()));
    }

    /// The keys that begin with `prefix`, sorted.
    pub(crate) fn state_keys(&self, prefix: &str) -> Vec<String> {
        let now = self.now();
        let transaction = lock(&self.transaction);
        let mut keys: Vec<String> =
            transaction.entries(now).map(|(key, _)| key).filter(|k| k.starts_with(prefix)).cloned().collect();
        drop(transaction);
        keys.sort();
        let _ = self.counted("state_keys", Ok(()));
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_their_encoding() {
        for expires in [None, Some(Timestamp::from_millis(-5)), Some(Timestamp::MAX)] {
            let kept = Kept { value: Bytes::from_static(b"\0x"), expires };
            assert_eq!(Kept::decode(&kept.encode()), Some(kept));
        }
        assert_eq!(Kept::decode(b""), None);
        assert_eq!(Kept::decode(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 1]), None);
    }

    #[test]
    fn deletes_are_bounded_by_what_was_there() {
        let mut transaction = Transaction::default();
        let now = Timestamp::EPOCH;
        for i in 0..STATE_KEYS {
            let kept = Kept { value: Bytes::new(), expires: None };
            transaction.set(&format!("k{i}"), kept, now).unwrap();
        }
        let one_more = transaction.set("x", Kept { value: Bytes::new(), expires: None }, now).unwrap_err();
        assert_eq!(one_more.kind, ErrorKind::Limit);
        assert!(transaction.set("k5", Kept { value: Bytes::new(), expires: None }, now).is_ok());
    }
}
