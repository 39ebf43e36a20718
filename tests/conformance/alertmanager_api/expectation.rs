//! What a case says in words about an answer: clauses about the number of things, and about each of them.

use model::Labels;
use serde_json::{Map, Value};

/// An answer, and what its words may refer to.
pub(crate) struct Seen<'a> {
    pub(crate) answer: &'a Value,
    /// Ids by name.
    pub(crate) saved: &'a Map<String, Value>,
    /// Ids in the order in which they are to be listed.
    pub(crate) order: &'a [String],
}

impl Seen<'_> {
    /// Whether all of it holds. Words that are not understood are an error.
    pub(crate) fn check(&self, expectation: &str) -> Result<(), String> {
        if expectation.starts_with("sorted in the order of the numbers") {
            let ids: Vec<&str> = self.items().iter().filter_map(|item| item["id"].as_str()).collect();
            return holds(ids == self.order, "the order is another one");
        }
        if expectation.contains("keeps its double quotes") {
            let value = self.answer["matchers"][0]["value"].as_str().unwrap_or_default();
            return holds(value.len() > 2 && value.starts_with('"') && value.ends_with('"'), "no quotes");
        }
        expectation.split("; ").try_for_each(|sentence| self.sentence(sentence))
    }

    fn items(&self) -> &[Value] {
        self.answer.as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// About all, about those with a severity, or about one; then conditions.
    fn sentence(&self, sentence: &str) -> Result<(), String> {
        if let Some((first, second)) =
            sentence.split_once(", the ").filter(|(first, _)| first.contains("alert is"))
        {
            self.sentence(first)?;
            return self.sentence(&format!("the {second}"));
        }
        let all: Vec<&Value> = self.items().iter().collect();
        let mut words = sentence.splitn(2, [':', ',']);
        let (subject, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let subject = subject.trim_start_matches("exactly ").trim_start_matches("the ");
        let count = subject
            .split(' ')
            .next()
            .and_then(|word| if word == "one" { Some(1) } else { word.parse().ok() });
        if let Some(count) = count {
            holds(all.len() == count, &format!("{} of them", all.len()))?;
            if subject.contains("different ids") {
                return holds(
                    all.first().map(|a| &a["id"]) != all.last().map(|b| &b["id"]),
                    "the same id twice",
                );
            }
            if subject.starts_with("one group with one alert") {
                let alerts = all[0]["alerts"].as_array().map(Vec::len);
                return holds(alerts == Some(1), "not one alert in the group");
            }
            return self.conditions(&all, rest);
        }
        if let Some(rest) =
            subject.strip_prefix("every alert").or(subject.strip_prefix("every returned alert"))
        {
            let conditions = format!("{rest},{}", sentence[sentence.len() - words_len(sentence)..].trim());
            holds(!all.is_empty(), "no alert")?;
            return self.conditions(&all, &conditions);
        }
        for severity in ["critical", "warning"] {
            let Some(rest) = subject.strip_prefix(severity) else { continue };
            let those: Vec<&Value> =
                all.iter().copied().filter(|alert| alert["labels"]["severity"] == severity).collect();
            holds(!those.is_empty(), &format!("no {severity} alert"))?;
            let tail = sentence.split_once(": ").map_or("", |(_, tail)| tail);
            return self.conditions(&those, &format!("{} and {tail}", rest.trim_start_matches(" alert")));
        }
        Err(format!("not understood: {sentence}"))
    }

    fn conditions(&self, items: &[&Value], conditions: &str) -> Result<(), String> {
        let conditions = conditions.replace(" and ", ",").replace("\",", "\"\u{0}");
        conditions
            .split(',')
            .map(|condition| condition.trim().trim_start_matches(':').trim())
            .filter(|condition| !condition.is_empty())
            .try_for_each(|condition| items.iter().try_for_each(|item| self.condition(item, condition)))
    }

    fn condition(&self, item: &Value, condition: &str) -> Result<(), String> {
        let status = &item["status"];
        let ends_with = |word: &str| condition.rsplit([' ', '=']).next() == Some(word);
        let what = condition.trim_start_matches("has ");
        let right = match what {
            _ if ends_with("active") => status["state"] == "active",
            _ if ends_with("suppressed") => status["state"] == "suppressed",
            "silencedBy empty" => status["silencedBy"].as_array().is_some_and(Vec::is_empty),
            _ if what.starts_with("silencedBy = [") => {
                let name = what.trim_start_matches("silencedBy = [").trim_end_matches(']');
                status["silencedBy"] == Value::from(vec![self.saved.get(name).cloned().unwrap_or_default()])
            }
            _ if what.starts_with("status.silencedBy") => {
                return self.condition(item, what.trim_start_matches("status."));
            }
            _ if what.starts_with("inhibitedBy = [") => {
                status["inhibitedBy"] == Value::from(vec![fingerprint(what)?])
            }
            _ if what.starts_with("fingerprint = ") => item["fingerprint"] == fingerprint(what)?,
            _ => return Err(format!("not understood: {condition}")),
        };
        holds(right, &format!("{condition} does not hold for {item}"))
    }
}

/// How long the part behind the first colon or comma is.
fn words_len(sentence: &str) -> usize {
    sentence.find([':', ',']).map_or(0, |at| sentence.len() - at - 1)
}

/// The fingerprint of the label set inside `{…}`. Commas in it stand as zero bytes.
fn fingerprint(text: &str) -> Result<String, String> {
    let inside = text.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(inside, _)| inside);
    let inside = inside.ok_or_else(|| format!("no labels in `{text}`"))?;
    let pairs = inside.split('\u{0}').filter_map(|pair| pair.split_once('='));
    Ok(Labels::from_pairs(pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('"'))))
        .fingerprint()
        .to_string())
}

fn holds(condition: bool, otherwise: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(otherwise.to_owned()) }
}
