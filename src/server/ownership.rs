//! Who decides: of the processes that share a state, one owns it.
//!
//! In: commits. Out: the same commits, each tied to the condition that nobody else took the state over meanwhile.
//! Not here: when to take over. Alone that is at the start: the lock on the data directory keeps others away, and one
//! process is a cluster of one.
//! Invariant: what a process commits after another one took over does not happen; it is told so by
//! [`CoordError::Conflict`], and tells nobody. So it does not matter how long it slept, or what it believes.

use std::sync::{Arc, Mutex, PoisonError};

use ports::{BoxFuture, Change, Condition, Coord, CoordError, Revision};

/// The key that says who owns the state.
pub(crate) const KEY: &[u8] = b"own/state";

/// A state as its owner sees it.
pub(crate) struct Owned {
    coord: Arc<dyn Coord>,
    /// Names this process, among all that there ever are.
    owner: Vec<u8>,
    claim: Mutex<Claim>,
    /// Held by the commit that takes over: several may be the first one at once.
    taking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
enum Claim {
    /// The next commit takes the state over.
    Wanted,
    /// As long as this holds, it is ours.
    Held(Condition),
    /// It is somebody else's.
    Lost,
}

impl Owned {
    /// Takes the state over with the first commit: on a disk that is full a server starts all the same.
    pub(crate) fn new(coord: Arc<dyn Coord>, owner: &str) -> Self {
        Owned {
            coord,
            owner: owner.as_bytes().to_vec(),
            claim: Mutex::new(Claim::Wanted),
            taking: tokio::sync::Mutex::default(),
        }
    }

    fn claim(&self) -> Claim {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What a commit is to be tied to.
    async fn held(&self) -> Result<Condition, CoordError> {
        match self.claim() {
            Claim::Held(held) => return Ok(held),
            Claim::Lost => return Err(CoordError::Conflict),
            Claim::Wanted => {}
        }
        let _one_takes = self.taking.lock().await;
        match self.claim() {
            Claim::Held(held) => return Ok(held),
            Claim::Lost => return Err(CoordError::Conflict),
            Claim::Wanted => {}
        }
        let own = Change { key: KEY.to_vec(), value: Some(self.owner.clone()) };
        let revision = self.coord.commit(&[], vec![own]).await?;
        let held = Condition { key: KEY.to_vec(), revision };
        *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = Claim::Held(held.clone());
        Ok(held)
    }
}

impl Coord for Owned {
    fn commit<'a>(
        &'a self,
        only_if: &'a [Condition],
        changes: Vec<Change>,
    ) -> BoxFuture<'a, Result<Revision, CoordError>> {
        Box::pin(async move {
            let held = self.held().await?;
            let conditions: Vec<Condition> = only_if.iter().chain([&held]).cloned().collect();
            let outcome = self.coord.commit(&conditions, changes).await;
            if outcome == Err(CoordError::Conflict) && only_if.is_empty() {
                tracing::error!(
                    "Another process took the alert state over; this one tells nobody any more. End one of them."
                );
                *self.claim.lock().unwrap_or_else(PoisonError::into_inner) = Claim::Lost;
            }
            outcome
        })
    }

    fn load(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>, CoordError> {
        self.coord.load()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use journal::{LocalCoord, LocalCoordOptions, RealDisk};

    use super::*;

    fn put(key: &str, value: &str) -> Vec<Change> {
        vec![Change { key: key.into(), value: Some(value.into()) }]
    }

    fn state(directory: &Path) -> Arc<dyn Coord> {
        let disk = Arc::new(RealDisk::new(directory.to_path_buf()));
        let (local, _) = LocalCoord::open(disk, Path::new("state"), LocalCoordOptions::default()).unwrap();
        Arc::new(local)
    }

    #[tokio::test]
    async fn several_first_commits_take_over_once() {
        let directory = tempfile::tempdir().unwrap();
        let owned = Owned::new(state(directory.path()), "one");
        let changes: Vec<_> = (0..20).map(|n| put(&format!("key{n}"), "value")).collect();
        let commits = changes.into_iter().map(|change| owned.commit(&[], change));
        for outcome in futures_util::future::join_all(commits).await {
            outcome.unwrap();
        }
        owned.commit(&[], put("later", "value")).await.unwrap();
        assert_eq!(owned.load().unwrap().len(), 22);
    }

    #[tokio::test]
    async fn who_took_over_last_decides() {
        let directory = tempfile::tempdir().unwrap();
        let shared = state(directory.path());
        let (one, two) = (Owned::new(shared.clone(), "one"), Owned::new(shared.clone(), "two"));
        one.commit(&[], put("log", "one tells")).await.unwrap();
        one.commit(&[], put("log", "one told")).await.unwrap();
        two.commit(&[], put("log", "two tells")).await.unwrap();
        // The first one wakes up and believes that it still owns the state.
        for _ in 0..2 {
            assert_eq!(one.commit(&[], put("log", "one tells again")).await, Err(CoordError::Conflict));
        }
        two.commit(&[], put("log", "two told")).await.unwrap();
        let records = shared.load().unwrap();
        let of =
            |wanted: &[u8]| records.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.clone());
        assert_eq!(of(b"log"), Some(b"two told".to_vec()));
        assert_eq!(of(KEY), Some(b"two".to_vec()));
    }
}
