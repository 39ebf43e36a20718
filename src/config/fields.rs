//! The keys of a mapping.
//!
//! Whoever reads asks for keys by name. What nobody asked for is an unknown key, and what was asked for is what it may
//! have meant. Beside each value stands what of it is shown.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use model::{Secret, format_duration};

use crate::Setting;
use crate::reader::{At, short, suggestion};
use crate::shown::Shown;
use crate::tree::{Key, Node};

/// The keys of a mapping, asked for one by one.
pub(crate) struct Fields<'a> {
    pub(crate) at: At<'a>,
    entries: &'a [(Key, Rc<Node>)],
    asked: RefCell<Vec<&'static str>>,
    /// Keys that were taken though nobody knew their names.
    taken: RefCell<Vec<String>>,
    /// Keys that people write here and that belong elsewhere, with what to do.
    misplaced: Cell<&'static [(&'static str, &'static str)]>,
    shown: RefCell<Vec<(String, Shown)>>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(at: At<'a>, entries: &'a [(Key, Rc<Node>)]) -> Self {
        let (asked, taken, misplaced, shown) = Default::default();
        Fields { at, entries, asked, taken, misplaced, shown }
    }

    /// The value of a key, unless it is absent or nothing.
    pub(crate) fn get(&self, key: &'static str) -> Option<At<'a>> {
        self.get_or_null(key).filter(|at| !at.is_null())
    }

    /// The value of a key, be it nothing.
    pub(crate) fn get_or_null(&self, key: &'static str) -> Option<At<'a>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        let (name, node) = self.entries.iter().find(|(name, _)| name.text == key)?;
        Some(self.at.under(name, node))
    }

    /// The keys that nobody asked for so far and that `wanted` takes.
    pub(crate) fn others(&self, wanted: impl Fn(&str) -> bool) -> Vec<(String, At<'a>)> {
        let asked = self.asked.borrow();
        let mut taken = self.taken.borrow_mut();
        let mut found = Vec::new();
        for (key, node) in self.entries {
            if asked.contains(&key.text.as_str()) || taken.contains(&key.text) || !wanted(&key.text) {
                continue;
            }
            let at = self.at.under(key, node);
            taken.push(key.text.clone());
            found.push((key.text.clone(), at));
        }
        found
    }

    /// Whether the key is there with a value.
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// Says that the mapping needs `key`.
    pub(crate) fn missing(&self, key: &'static str, hint: Option<String>) {
        match self.get_or_null(key) {
            // What could not be read is not missing.
            Some(at) if at.is_broken() => {}
            Some(at) => at.error(format!("`{key}` is empty"), hint),
            None => self.at.error(format!("`{key}` is missing"), hint),
        }
    }

    /// Says that only one of `keys` may be there, if more are.
    pub(crate) fn at_most_one(&self, keys: &[&'static str]) {
        let present: Vec<At<'a>> = keys.iter().filter_map(|key| self.get(key)).collect();
        let Some(second) = present.get(1) else { return };
        let names: Vec<String> =
            keys.iter().filter(|key| self.has(key)).map(|key| format!("`{key}`")).collect();
        let what = format!("{} are set, and only one of them may be", join_and(&names));
        second.at_key().error(what, Some("keep one".to_owned()));
    }

    pub(crate) fn show(&self, key: &str, value: Shown) {
        self.shown.borrow_mut().push((key.to_owned(), value));
    }

    /// Text, shown if it is there.
    pub(crate) fn text(&self, key: &'static str) -> Option<String> {
        let text = self.get(key)?.text()?;
        self.show(key, Shown::text(&text));
        Some(text)
    }

    pub(crate) fn text_or(&self, key: &'static str, default: &str) -> String {
        let text = self.get(key).and_then(|at| at.text()).unwrap_or_else(|| default.to_owned());
        if !text.is_empty() {
            self.show(key, Shown::text(&text));
        }
        text
    }

    /// Text out of a few; the first is the default.
    pub(crate) fn choice(&self, key: &'static str, choices: &[&str]) -> String {
        self.choice_or(key, choices, choices[0])
    }

    pub(crate) fn choice_or(&self, key: &'static str, choices: &[&str], default: &str) -> String {
        let text = self.text_or(key, default);
        if text != default && !choices.contains(&text.as_str()) {
            if let Some(at) = self.get(key).filter(|at| at.scalar().is_some()) {
                let what = format!("`{}` is not a value of `{key}`", short(&text));
                at.error(what, suggestion(&text, choices.iter().copied(), "possible"));
            }
            return default.to_owned();
        }
        text
    }

    pub(crate) fn boolean_or(&self, key: &'static str, default: bool) -> bool {
        let value = self.get(key).and_then(|at| at.boolean()).unwrap_or(default);
        self.show(key, Shown::Bool(value));
        value
    }

    /// Yes or no, shown only if it is there.
    pub(crate) fn boolean(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?.boolean()?;
        self.show(key, Shown::Bool(value));
        Some(value)
    }

    pub(crate) fn unsigned_or(&self, key: &'static str, default: u64) -> u64 {
        let value = self.get(key).and_then(|at| at.unsigned()).unwrap_or(default);
        if value != 0 {
            self.show(key, Shown::number(value));
        }
        value
    }

    pub(crate) fn float_or(&self, key: &'static str, default: f64) -> f64 {
        let value = self.get(key).and_then(|at| at.float()).unwrap_or(default);
        if value != 0.0 {
            self.show(key, Shown::number(value));
        }
        value
    }

    pub(crate) fn duration(&self, key: &'static str) -> Option<Duration> {
        let duration = self.get(key)?.duration()?;
        self.show(key, Shown::text(format_duration(duration)));
        Some(duration)
    }

    pub(crate) fn duration_or(&self, key: &'static str, default: Duration) -> Duration {
        let duration = self.get(key).and_then(|at| at.duration()).unwrap_or(default);
        self.show(key, Shown::text(format_duration(duration)));
        duration
    }

    pub(crate) fn texts(&self, key: &'static str) -> Vec<String> {
        let texts = self.get(key).and_then(|at| at.texts()).unwrap_or_default();
        if !texts.is_empty() {
            self.show(key, Shown::texts(&texts));
        }
        texts
    }

    pub(crate) fn text_map(&self, key: &'static str) -> Vec<(String, String)> {
        let map = self.get(key).and_then(|at| at.text_map()).unwrap_or_default();
        if !map.is_empty() {
            self.show(key, Shown::pairs(map.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
        }
        map
    }

    /// A path, from the directory of the file it stands in; shown as it is written.
    pub(crate) fn path(&self, key: &'static str) -> Option<PathBuf> {
        let at = self.get(key)?;
        let text = at.text()?;
        self.show(key, Shown::text(&text));
        Some(at.resolve(&text))
    }

    /// A path of a file that has to be there.
    pub(crate) fn existing_path(&self, key: &'static str) -> Option<PathBuf> {
        let path = self.path(key)?;
        if let Some(at) = self.get(key) {
            at.check_exists(&path);
        }
        Some(path)
    }

    /// A value that nobody sees. `file_key`: where it would better be.
    pub(crate) fn secret(&self, key: &'static str, file_key: Option<&'static str>) -> Option<Secret<String>> {
        let at = self.get(key)?;
        let text = at.secret_text(file_key)?;
        if text.is_empty() {
            return None;
        }
        self.show(key, Shown::masked());
        Some(Secret::new(text))
    }

    /// A secret that is in the configuration or in a file; not in both.
    pub(crate) fn secret_or_file(&self, key: &'static str, file_key: &'static str) -> Option<Setting> {
        self.at_most_one(&[key, file_key]);
        let file = self.existing_path(file_key);
        match self.secret(key, Some(file_key)) {
            Some(value) => Some(Setting::Secret { value, template: false }),
            None => file.map(Setting::SecretFile),
        }
    }

    /// Each item of a list, read by `read`; what it cannot read is left out.
    pub(crate) fn each<T>(
        &self,
        key: &'static str,
        mut read: impl FnMut(At<'a>) -> Option<(T, Shown)>,
    ) -> Vec<T> {
        let items = self.get(key).and_then(|at| at.list()).unwrap_or_default();
        let (values, shown): (Vec<T>, Vec<Shown>) = items.into_iter().filter_map(&mut read).unzip();
        if !shown.is_empty() {
            self.show(key, Shown::List(shown));
        }
        values
    }

    /// What is shown so far, taken out.
    pub(crate) fn take_shown(&self) -> Vec<(String, Shown)> {
        self.shown.take()
    }

    /// Puts what is shown into the order of `keys`; the others follow.
    pub(crate) fn order_shown(&self, keys: impl Iterator<Item = &'static str>) {
        let keys: Vec<&str> = keys.collect();
        let place = |key: &str| keys.iter().position(|k| *k == key).unwrap_or(keys.len());
        self.shown.borrow_mut().sort_by_key(|(key, _)| place(key));
    }

    /// Names keys that belong elsewhere, and what to do with each.
    pub(crate) fn expect_misplaced(&self, keys: &'static [(&'static str, &'static str)]) {
        self.misplaced.set(keys);
    }

    /// Reports keys that nobody asked for; what of the mapping is shown.
    pub(crate) fn finish(self) -> Shown {
        let (asked, taken) = (self.asked.into_inner(), self.taken.into_inner());
        for (key, node) in self.entries {
            if asked.contains(&key.text.as_str()) || taken.contains(&key.text) {
                continue;
            }
            let misplaced = self.misplaced.get().iter().find(|(name, _)| *name == key.text);
            let hint = match misplaced {
                Some((_, hint)) => Some((*hint).to_owned()),
                None => suggestion(&key.text, asked.iter().copied(), "known here"),
            };
            let at = self.at.under(key, node).at_key();
            let what = format!("unknown key `{}`", short(&key.text));
            match at.cx.options.ignore_unknown_keys {
                true => at.warn(what, hint),
                false => at.error(what, hint),
            }
        }
        Shown::Map(self.shown.into_inner())
    }
}

/// `a and b`, `a, b and c`.
fn join_and(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
