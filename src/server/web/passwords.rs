//! Passwords against bcrypt hashes, slow as those are.
//!
//! One is computed at a time, on a thread of its own, so that guessing takes no more than one processor. Who was right
//! is remembered under a keyed digest: a scraper that comes each second pays once. Unknown names take as long as known.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use model::Secret;
use sha2::Sha256;
use tokio::sync::Semaphore;

/// So many right passwords are remembered.
const REMEMBERED_MAX: usize = 128;

type Digest = [u8; 32];

pub(super) struct Passwords {
    /// Chosen anew by each process.
    key: [u8; 32],
    /// The latest last.
    remembered: Mutex<VecDeque<Digest>>,
    turn: Arc<Semaphore>,
}

/// A name and a password as they were sent.
pub(super) struct Given {
    user: String,
    password: Secret<Vec<u8>>,
}

impl Given {
    /// What the request says who sends it.
    pub(super) fn read(headers: &HeaderMap) -> Option<Given> {
        let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = STANDARD.decode(encoded).ok()?;
        let colon = pair.iter().position(|byte| *byte == b':')?;
        let user = String::from_utf8(pair[..colon].to_vec()).ok()?;
        Some(Given { user, password: Secret::new(pair[colon + 1..].to_vec()) })
    }
}

impl Passwords {
    pub(super) fn new() -> Self {
        Passwords { key: rand::random(), remembered: Mutex::default(), turn: Arc::new(Semaphore::new(1)) }
    }

    /// Whether it is one of `users`.
    pub(super) async fn are_right(&self, given: Given, users: &BTreeMap<String, Secret<String>>) -> bool {
        let known = users.get(&given.user);
        // For a name that is unknown the slowest hash is computed, and what comes out does not matter.
        let slowest = || users.values().max_by_key(|hash| hash.expose().get(4..6).map(str::to_owned));
        let Some(hash) = known.or_else(slowest).cloned() else { return false };
        let digest = self.digest(&given, hash.expose());
        if known.is_some() && self.remembers(&digest) {
            return true;
        }
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else { return false };
        // Somebody else with the same may have been first.
        if known.is_some() && self.remembers(&digest) {
            return true;
        }
        let computed = tokio::task::spawn_blocking(move || {
            let right = bcrypt::verify(given.password.expose(), hash.expose()).unwrap_or(false);
            // Not before: a client that hangs up does not make room for a second computation.
            drop(turn);
            right
        });
        let right = computed.await.unwrap_or(false) && known.is_some();
        if right {
            self.remember(digest);
        }
        right
    }

    fn digest(&self, given: &Given, hash: &str) -> Digest {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length will do");
        for part in [given.user.as_bytes(), hash.as_bytes(), given.password.expose()] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn remembers(&self, digest: &Digest) -> bool {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = remembered.iter().rposition(|known| known == digest) else { return false };
        if let Some(found) = remembered.remove(place) {
            remembered.push_back(found);
        }
        true
    }

    fn remember(&self, digest: Digest) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.pop_front();
        }
        remembered.push_back(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(user: &str, password: &str) -> Given {
        let mut headers = HeaderMap::new();
        let pair = STANDARD.encode(format!("{user}:{password}"));
        headers.insert(AUTHORIZATION, format!("bAsIc {pair}").parse().unwrap());
        Given::read(&headers).unwrap()
    }

    fn users(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret<String>> {
        let hash = |password: &&str| bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap().to_string();
        pairs.iter().map(|(user, password)| ((*user).to_owned(), Secret::new(hash(password)))).collect()
    }

    #[tokio::test]
    async fn who_is_right() {
        let users = users(&[("anna", "a:b"), ("ben", ""), ("", "nameless")]);
        let passwords = Passwords::new();
        // Twice: also what is remembered.
        for _ in 0..2 {
            for (user, password, right) in [
                ("anna", "a:b", true),
                ("anna", "a:", false),
                ("anna", "", false),
                ("ben", "", true),
                ("ben", "a:b", false),
                ("", "nameless", true),
                // The slowest hash is computed for a name that is unknown; to match it is not enough.
                ("eve", "a:b", false),
                ("eve", "", false),
            ] {
                assert_eq!(
                    passwords.are_right(given(user, password), &users).await,
                    right,
                    "{user}:{password}"
                );
            }
        }
        assert_eq!(passwords.remembered.lock().unwrap().len(), 3, "only who was right is remembered");
    }

    #[tokio::test]
    async fn a_new_hash_makes_the_old_password_wrong() {
        let passwords = Passwords::new();
        let (old, new) = (users(&[("anna", "old")]), users(&[("anna", "new")]));
        assert!(passwords.are_right(given("anna", "old"), &old).await);
        assert!(!passwords.are_right(given("anna", "old"), &new).await);
        assert!(passwords.are_right(given("anna", "new"), &new).await);
    }

    #[test]
    fn no_more_are_remembered_than_may_be() {
        let passwords = Passwords::new();
        for number in 0..=REMEMBERED_MAX {
            passwords.remember([u8::try_from(number).unwrap(); 32]);
        }
        assert!(!passwords.remembers(&[0; 32]));
        assert!(passwords.remembers(&[1; 32]));
        assert_eq!(passwords.remembered.lock().unwrap().len(), REMEMBERED_MAX);
    }

    #[test]
    fn what_is_no_password_is_none() {
        for value in ["", "Basic", "Basic ", "Basic !!", "Basic YQ==", "Bearer YTpi", "Basic YTpi extra"] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            assert!(Given::read(&headers).is_none(), "{value}");
        }
        assert!(Given::read(&HeaderMap::new()).is_none());
    }
}
