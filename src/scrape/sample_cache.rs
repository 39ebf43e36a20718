//! What one target exposed so far: series by their text, and which of them are alive.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Labels, SeriesRef};

use crate::key_memo::KeyMemo;

/// Entries that may be out of use before the cache is tidied, whatever its size.
const UNUSED_MAX: usize = 1000;

/// The series of one target.
#[derive(Debug, Default)]
pub(crate) struct SampleCache {
    /// By the text of a body.
    texts: KeyMemo<Arc<str>>,
    /// By the labels of a payload that never was text.
    points: KeyMemo<Labels>,
    by_labels: HashMap<Labels, u32>,
    series: Vec<Tracked>,
    /// Counts scrapes, good and bad.
    pass: u64,
    /// Counts good scrapes.
    successes: u64,
}

/// One stored series.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) labels: Labels,
    /// Where it was stored last time.
    pub(crate) hint: Option<SeriesRef>,
    /// The pass in which it was seen last.
    seen: u64,
    /// The pass in which it was last seen in a way that makes its absence mean something.
    kept: u64,
    /// The good scrape in which it was seen last.
    success: u64,
    /// Whether it has to be marked stale when it is gone.
    alive: bool,
}

/// What a sample means for its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// It was seen in this scrape before.
    pub(crate) again: bool,
    /// It was not in the last good scrape.
    pub(crate) new: bool,
}

/// A series to be marked stale.
pub(crate) type Ended = (Labels, Option<SeriesRef>);

impl SampleCache {
    /// Begins a scrape.
    pub(crate) fn begin(&mut self) {
        self.pass += 1;
        self.texts.rewind();
        self.points.rewind();
    }

    /// Where the series written `text` is stored; `Some(None)` if it is known to be dropped.
    pub(crate) fn find_text(&mut self, text: &str) -> Option<Option<u32>> {
        self.texts.find(text, self.pass)
    }

    /// The same for labels that never were text.
    pub(crate) fn find_point(&mut self, labels: &Labels) -> Option<Option<u32>> {
        self.points.find(labels, self.pass)
    }

    /// Remembers that `text` is stored as `labels`, or dropped.
    pub(crate) fn add_text(&mut self, text: &str, labels: Option<Labels>) -> Option<u32> {
        let slot = labels.map(|labels| self.slot(labels));
        self.texts.insert(Arc::from(text), slot, self.pass);
        slot
    }

    /// The same for labels that never were text.
    pub(crate) fn add_point(&mut self, point: &Labels, labels: Option<Labels>) -> Option<u32> {
        let slot = labels.map(|labels| self.slot(labels));
        self.points.insert(point.clone(), slot, self.pass);
        slot
    }

    fn slot(&mut self, labels: Labels) -> u32 {
        let next = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        *self.by_labels.entry(labels).or_insert_with_key(|labels| {
            let labels = labels.clone();
            self.series.push(Tracked { labels, hint: None, seen: 0, kept: 0, success: 0, alive: false });
            next
        })
    }

    pub(crate) fn series(&self, slot: u32) -> &Tracked {
        &self.series[slot as usize]
    }

    /// Notes a sample. `tracked`: the series is to be marked stale when it is gone.
    pub(crate) fn see(&mut self, slot: u32, tracked: bool) -> Sighting {
        let (pass, successes) = (self.pass, self.successes);
        let series = &mut self.series[slot as usize];
        let again = series.seen == pass;
        let new = !again && (series.success == 0 || series.success != successes);
        series.seen = pass;
        if tracked {
            series.kept = pass;
        }
        Sighting { again, new }
    }

    /// Notes where a series was stored.
    pub(crate) fn set_hint(&mut self, slot: u32, hint: SeriesRef) {
        self.series[slot as usize].hint = Some(hint);
    }

    /// The scrape was good: what was alive and not seen has ended.
    pub(crate) fn succeed(&mut self) -> Vec<Ended> {
        self.successes += 1;
        let mut ended = Vec::new();
        for series in &mut self.series {
            if series.seen == self.pass {
                series.success = self.successes;
            }
            let kept = series.kept == self.pass;
            if series.alive && !kept {
                ended.push((series.labels.clone(), series.hint));
            }
            series.alive = kept;
        }
        ended
    }

    /// The scrape failed, or there will be no more: whatever was alive has ended.
    pub(crate) fn end_all(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        for series in self.series.iter_mut().filter(|series| series.alive) {
            series.alive = false;
            ended.push((series.labels.clone(), series.hint));
        }
        ended
    }

    /// Forgets what was not in the last scrape, if it was good and there is much to forget. Slots change.
    pub(crate) fn tidy(&mut self) {
        let used = self.series.iter().filter(|series| series.success == self.successes).count();
        let all = self.series.len().max(self.texts.len()).max(self.points.len());
        if all <= 2 * used + UNUSED_MAX {
            return;
        }
        let (pass, successes) = (self.pass, self.successes);
        let mut places: Vec<Option<u32>> = Vec::with_capacity(self.series.len());
        let mut next = 0;
        self.series.retain(|series| {
            let stays = series.success == successes || series.alive;
            places.push(stays.then_some(next));
            next += u32::from(stays);
            stays
        });
        let moved = |slot: u32| places.get(slot as usize).copied().flatten();
        self.texts.retain(pass, moved);
        self.points.retain(pass, moved);
        self.by_labels =
            (0..).zip(&self.series).map(|(slot, series)| (series.labels.clone(), slot)).collect();
    }

    /// Forgets what texts mean, since rules have changed; what is alive stays alive.
    pub(crate) fn forget_texts(&mut self) {
        self.texts = KeyMemo::default();
        self.points = KeyMemo::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One scrape that sees `texts`; what ended.
    fn scrape(cache: &mut SampleCache, texts: &[&str], good: bool) -> String {
        cache.begin();
        for text in texts {
            let slot = cache.find_text(text).unwrap_or_else(|| {
                let labels = Labels::from([("__name__", text.trim())]);
                cache.add_text(text, Some(labels))
            });
            cache.see(slot.unwrap(), true);
        }
        let ended = if good { cache.succeed() } else { cache.end_all() };
        cache.tidy();
        let mut names: Vec<String> = ended.iter().map(|(labels, _)| labels.to_string()).collect();
        names.sort();
        names.join(" ")
    }

    #[test]
    fn series_end_once() {
        let mut cache = SampleCache::default();
        assert_eq!(scrape(&mut cache, &["a", "b"], true), "");
        assert_eq!(scrape(&mut cache, &["b"], true), "a");
        assert_eq!(scrape(&mut cache, &["b"], true), "");
        assert_eq!(scrape(&mut cache, &["c"], false), "b");
        assert_eq!(scrape(&mut cache, &["b"], true), "");
    }

    #[test]
    fn the_same_series_in_other_words_is_the_same() {
        let mut cache = SampleCache::default();
        assert_eq!(scrape(&mut cache, &["a"], true), "");
        assert_eq!(scrape(&mut cache, &["a "], true), "");
        cache.begin();
        let slot = cache.find_text("a").unwrap().unwrap();
        assert_eq!(cache.see(slot, true), Sighting { again: false, new: false });
        assert_eq!(cache.find_text("a ").unwrap(), Some(slot));
        assert_eq!(cache.see(slot, true), Sighting { again: true, new: false });
    }

    #[test]
    fn what_a_failed_scrape_saw_is_not_new_afterwards_twice() {
        let mut cache = SampleCache::default();
        scrape(&mut cache, &["a"], true);
        scrape(&mut cache, &["a"], false);
        cache.begin();
        let slot = cache.find_text("a").unwrap().unwrap();
        assert_eq!(cache.see(slot, true), Sighting { again: false, new: false });
    }

    #[test]
    fn churn_is_forgotten() {
        let mut cache = SampleCache::default();
        for round in 0..50 {
            let texts: Vec<String> = (0..100).map(|n| format!("m{}", round * 100 + n)).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).chain(["stays"]).collect();
            scrape(&mut cache, &texts, true);
            assert!(cache.series.len() < 1500 && cache.texts.len() < 1500);
        }
        cache.begin();
        let slot = cache.find_text("stays").unwrap().unwrap();
        assert_eq!(cache.series(slot).labels.metric_name(), "stays");
        assert!(!cache.see(slot, true).new);
    }
}
