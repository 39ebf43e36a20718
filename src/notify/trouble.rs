//! What the log says of messages that do not get through: enough to see it, little enough to read it.
//!
//! In: which message failed, or came through, and when. Out: whether a line is due.
//! Not here: the line itself (`queue`). A message that keeps failing is named at once and then each [`REPEAT`]; when many
//! fail together a few are named, and the line of the next one counts the others.

use foldhash::HashMap;
use std::time::Duration;

/// After this time a message that still fails is named again.
const REPEAT: Duration = Duration::from_secs(300);
/// Messages of one integration that are named within [`REPEAT`].
const NAMED_MAX: usize = 10;
/// A message of which nothing was heard for this long is forgotten: its group may be gone.
const FORGET: Duration = Duration::from_secs(24 * 3600);

/// The messages of one integration that fail.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    /// By incident.
    failing: HashMap<String, Failing>,
    /// Failures that no line told of since the last line.
    untold: u64,
}

#[derive(Debug)]
struct Failing {
    since: Duration,
    heard: Duration,
    named: Option<Duration>,
}

/// A line is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Since when the message fails.
    pub(crate) for_long: Duration,
    /// Other failures of this integration since its last line.
    pub(crate) others: u64,
}

impl Trouble {
    /// An attempt failed, and another one follows.
    pub(crate) fn failed(&mut self, dedup_key: &str, now: Duration) -> Option<Line> {
        let recent = |named: Option<Duration>| named.is_some_and(|at| now.saturating_sub(at) < REPEAT);
        let named = self.failing.values().filter(|failing| recent(failing.named)).count();
        if !self.failing.contains_key(dedup_key) {
            self.failing.retain(|_, failing| now.saturating_sub(failing.heard) < FORGET);
            self.failing.insert(dedup_key.to_owned(), Failing { since: now, heard: now, named: None });
        }
        let failing = self.failing.get_mut(dedup_key).expect("it was just put there");
        failing.heard = now;
        if recent(failing.named) || named >= NAMED_MAX {
            self.untold += 1;
            return None;
        }
        failing.named = Some(now);
        Some(Line { for_long: now.saturating_sub(failing.since), others: std::mem::take(&mut self.untold) })
    }

    /// A message came through: for how long it did not, if that was told.
    pub(crate) fn delivered(&mut self, dedup_key: &str, now: Duration) -> Option<Duration> {
        let failing = self.failing.remove(dedup_key)?;
        failing.named.map(|_| now.saturating_sub(failing.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn line(for_long: u64, others: u64) -> Option<Line> {
        Some(Line { for_long: secs(for_long), others })
    }

    #[test]
    fn names_a_message_at_once_then_seldom_and_when_it_is_through() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.failed("g", secs(10)), line(0, 0));
        for now in [11, 13, 200, 309] {
            assert_eq!(trouble.failed("g", secs(now)), None, "{now}");
        }
        assert_eq!(trouble.failed("g", secs(310)), line(300, 4));
        assert_eq!(trouble.delivered("g", secs(320)), Some(secs(310)));
        assert_eq!(trouble.delivered("g", secs(321)), None, "it did not fail again");
        assert_eq!(trouble.failed("g", secs(330)), line(0, 0));
    }

    #[test]
    fn names_a_few_of_many_and_counts_the_others() {
        let mut trouble = Trouble::default();
        let named = (0..1000).filter(|n| trouble.failed(&n.to_string(), secs(1)).is_some()).count();
        assert_eq!(named, NAMED_MAX);
        assert_eq!(trouble.failed("other", secs(301)), line(0, 990));
        assert_eq!(
            trouble.delivered("999", secs(302)),
            None,
            "what was not named fails and heals in silence"
        );
        assert_eq!(trouble.delivered("0", secs(302)), Some(secs(301)));
    }

    #[test]
    fn forgets_what_is_gone() {
        let mut trouble = Trouble::default();
        trouble.failed("gone", secs(0));
        trouble.failed("new", FORGET);
        assert_eq!(trouble.failing.len(), 1);
    }
}
