//! How fast one address is told: what its service allows, and what it asks for.
//!
//! In: attempts that begin and end, answers that ask for time, and the time. Out: whether an attempt may begin now, and
//! when next. Integrations that tell the same address share one [`Pace`]; each with one of its own is the usual case.
//! Not here: clocks, and which message goes (`lineup`).

use std::collections::VecDeque;
use std::time::Duration;

/// How many attempts at one address may run at once.
const CONCURRENT: usize = 4;
/// An address that asks for more time than this is asked again after it.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);

/// So many messages in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages; at least one.
    pub messages: usize,
    /// In any stretch of this length.
    pub per: Duration,
}

/// How fast one address is told.
///
/// A message counts from the beginning of its attempt until its end, and for the time of the rate after that: it reached
/// the other side at some moment between the two, so that the other side never sees more than it allows, however it counts.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    rate: Option<Rate>,
    running: usize,
    /// When the last attempts ended, oldest first; as many as the rate has messages.
    ended: VecDeque<Duration>,
    /// The other side asked that nothing comes before.
    not_before: Duration,
    /// One at a time, until one goes through.
    gentle: bool,
}

impl Pace {
    /// Within a rate, or as fast as the other side takes it.
    pub fn new(rate: Option<Rate>) -> Self {
        Pace { rate, ..Pace::default() }
    }

    /// Another rate from now on.
    pub fn set_rate(&mut self, rate: Option<Rate>) {
        self.rate = rate;
        self.forget();
    }

    /// Whether an attempt may begin at `now` beside those that run and `more` others.
    pub(crate) fn allows(&self, now: Duration, more: usize) -> bool {
        self.running + more < self.limit() && self.next(more).is_some_and(|next| next <= now)
    }

    /// When an attempt may begin beside those that run and `more` others; `None`: when one of them has ended.
    pub(crate) fn next(&self, more: usize) -> Option<Duration> {
        let running = self.running + more;
        if running >= self.limit() {
            return None;
        }
        let Some(rate) = self.rate else { return Some(self.not_before) };
        let room = rate.messages.max(1).checked_sub(running).filter(|room| *room > 0)?;
        // The one that leaves room for one more when its time is over.
        let oldest = self.ended.len().checked_sub(room).and_then(|at| self.ended.get(at));
        Some(oldest.map_or(self.not_before, |ended| self.not_before.max(*ended + rate.per)))
    }

    fn limit(&self) -> usize {
        if self.gentle { 1 } else { CONCURRENT }
    }

    pub(crate) fn begin(&mut self) {
        self.running += 1;
    }

    pub(crate) fn end(&mut self, now: Duration) {
        self.running = self.running.saturating_sub(1);
        self.ended.push_back(now);
        self.forget();
    }

    /// An attempt was broken off.
    pub(crate) fn break_off(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    fn forget(&mut self) {
        let counted = self.rate.map_or(0, |rate| rate.messages.max(1));
        self.ended.drain(..self.ended.len().saturating_sub(counted));
    }

    /// One went through.
    pub(crate) fn delivered(&mut self, now: Duration, pause: Option<Duration>) {
        self.gentle = false;
        if let Some(pause) = pause {
            self.not_before = self.not_before.max(now + pause.min(PAUSE_MAX));
        }
    }

    /// The other side asked for time.
    pub(crate) fn rest(&mut self, until: Duration) {
        self.gentle = true;
        self.not_before = self.not_before.max(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Sends as fast as it may, each attempt taking `takes`; when they began, in milliseconds.
    fn begins(mut pace: Pace, count: usize, takes: u64) -> Vec<u64> {
        let (mut began, mut running, mut now) = (Vec::new(), VecDeque::new(), 0);
        while began.len() < count {
            while running.front().is_some_and(|ends| *ends <= now) {
                pace.end(millis(running.pop_front().unwrap()));
            }
            match pace.allows(millis(now), 0) {
                true => {
                    pace.begin();
                    began.push(now);
                    running.push_back(now + takes);
                }
                false => {
                    let next = pace.next(0).map(|next| next.as_millis() as u64);
                    now = running.front().copied().into_iter().chain(next).min().unwrap();
                }
            }
        }
        began
    }

    #[test]
    fn four_at_once_without_a_rate() {
        assert_eq!(begins(Pace::default(), 9, 100), [0, 0, 0, 0, 100, 100, 100, 100, 200]);
    }

    #[test]
    fn never_more_than_the_rate_in_any_stretch() {
        let rate = Rate { messages: 5, per: millis(2000) };
        let began = begins(Pace::new(Some(rate)), 40, 30);
        assert_eq!(began[..6], [0, 0, 0, 0, 30, 2030]);
        // Wherever between beginning and end each of them arrives.
        assert!(began.windows(6).all(|six| six[5] >= six[0] + 30 + 2000), "{began:?}");
        assert!(*began.last().unwrap() < 8 * 2100, "and hardly fewer: {began:?}");
        let slow = Rate { messages: 1, per: millis(1000) };
        assert_eq!(begins(Pace::new(Some(slow)), 3, 200), [0, 1200, 2400]);
    }

    #[test]
    fn rests_when_it_is_asked_to() {
        let mut pace = Pace::default();
        pace.rest(millis(500));
        assert_eq!((pace.allows(millis(499), 0), pace.next(0)), (false, Some(millis(500))));
        assert!(pace.allows(millis(500), 0) && !pace.allows(millis(500), 1), "gently");
        pace.delivered(millis(500), Some(millis(250)));
        assert_eq!((pace.next(0), pace.allows(millis(750), 3)), (Some(millis(750)), true));
        pace.set_rate(Some(Rate { messages: 1, per: millis(10) }));
        pace.begin();
        assert_eq!(pace.next(0), None);
        pace.end(millis(800));
        assert_eq!(pace.next(0), Some(millis(810)));
    }
}
