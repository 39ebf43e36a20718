//! The labels of one series in a request: as raw bytes first, and as [`Labels`] only if nobody knows the series.

use model::{Labels, METRIC_NAME};

/// Names and values as they stand in the request, in its order.
pub(crate) type RawLabels<'a> = Vec<(&'a [u8], &'a [u8])>;

/// Whether these are, in this order, the labels of `known`.
#[inline]
pub(crate) fn are(raw: &[(&[u8], &[u8])], known: &Labels) -> bool {
    let mut known = known.iter();
    let same = raw.iter().all(|(name, value)| {
        known.next().is_some_and(|(n, v)| n.as_bytes() == *name && v.as_bytes() == *value)
    });
    same && known.next().is_none()
}

/// The label set, or why it names no series. An empty value is no label.
pub(crate) fn check(raw: &[(&[u8], &[u8])]) -> Result<Labels, String> {
    let mut pairs = Vec::with_capacity(raw.len());
    for (name, value) in raw {
        let text = |bytes| {
            std::str::from_utf8(bytes)
                .map_err(|_| format!("label `{}` is not UTF-8", String::from_utf8_lossy(name)))
        };
        pairs.push((text(name)?, text(value)?));
    }
    pairs.sort_by_key(|(name, _)| *name);
    if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(format!("label `{}` stands there twice", twice[0].0));
    }
    if pairs.first().is_some_and(|(name, _)| name.is_empty()) {
        return Err("a label has no name".to_owned());
    }
    pairs.retain(|(_, value)| !value.is_empty());
    let labels = Labels::from_sorted(&pairs);
    if labels.get(METRIC_NAME).is_none() {
        return Err(format!("there is no label `{METRIC_NAME}`"));
    }
    Ok(labels)
}

/// The labels as far as they can be read, for messages.
pub(crate) fn shown(raw: &[(&[u8], &[u8])]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Labels::from_pairs(raw.iter().map(|(name, value)| (text(name), text(value)))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_set_is_checked() {
        for (raw, outcome) in [
            (&[(&b"__name__"[..], &b"up"[..])][..], Ok("up")),
            (&[(b"b", b"1"), (b"__name__", b"a.b"), (b"a", b"")], Ok("{\"a.b\", b=\"1\"}")),
            (&[(b"job", b"1")], Err("there is no label `__name__`")),
            (&[(b"__name__", b"")], Err("there is no label `__name__`")),
            (&[], Err("there is no label `__name__`")),
            (&[(b"__name__", b"up"), (b"", b"1")], Err("a label has no name")),
            (&[(b"__name__", b"up"), (b"a", b"1"), (b"a", b"2")], Err("label `a` stands there twice")),
            (&[(b"__name__", b"up"), (b"a", b"\xff")], Err("label `a` is not UTF-8")),
        ] {
            let found = check(raw).map(|labels| labels.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), outcome);
        }
    }

    #[test]
    fn known_labels_are_recognised_byte_by_byte() {
        let known = Labels::from([("__name__", "up"), ("job", "a")]);
        assert!(are(&[(b"__name__", b"up"), (b"job", b"a")], &known));
        assert!(!are(&[(b"__name__", b"up")], &known));
        assert!(!are(&[(b"__name__", b"up"), (b"job", b"b")], &known));
        assert!(!are(&[(b"__name__", b"up"), (b"job", b"a"), (b"z", b"1")], &known));
    }
}
