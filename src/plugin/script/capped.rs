//! Rhai's functions that can make much out of little in one operation, each in a form that looks at the limit first.

use rhai::{Array, Dynamic, Engine, EvalAltResult, INT, ImmutableString};

use super::running::room_for;

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// What an array element with a short text in it costs.
const ELEMENT: usize = 72;
/// The limit is looked at once in so many elements.
const STEP: usize = 256;

pub(super) fn register(engine: &mut Engine) {
    replace(engine);
    split(engine);
    pad(engine);
}

fn replace(engine: &mut Engine) {
    fn replaced(text: &mut ImmutableString, find: &str, with: &str) -> Outcome<()> {
        if find.is_empty() {
            // An empty text stands between all characters.
            room_for(text.len().saturating_add((text.len() + 1).saturating_mul(with.len())))?;
        } else if with.len() > find.len() {
            let count = text.matches(find).count();
            room_for(text.len().saturating_add(count.saturating_mul(with.len() - find.len())))?;
        } else {
            room_for(text.len())?;
        }
        *text = text.replace(find, with).into();
        Ok(())
    }
    engine
        .register_fn("replace", |text: &mut ImmutableString, find: &str, with: &str| {
            replaced(text, find, with)
        })
        .register_fn("replace", |text: &mut ImmutableString, find: &str, with: char| {
            replaced(text, find, with.encode_utf8(&mut [0; 4]))
        })
        .register_fn("replace", |text: &mut ImmutableString, find: char, with: &str| {
            replaced(text, find.encode_utf8(&mut [0; 4]), with)
        })
        .register_fn("replace", |text: &mut ImmutableString, find: char, with: char| {
            replaced(text, find.encode_utf8(&mut [0; 4]), with.encode_utf8(&mut [0; 4]))
        });
}

/// Collects into an array, looking at the limit on the way.
fn collect<T: Into<Dynamic>>(items: impl Iterator<Item = T>) -> Outcome<Array> {
    let mut array = Array::new();
    for item in items {
        if array.len().is_multiple_of(STEP) {
            room_for(STEP * ELEMENT + if array.len() == array.capacity() { array.len() * 16 } else { 0 })?;
        }
        array.push(item.into());
    }
    Ok(array)
}

fn pieces(segments: INT) -> usize {
    usize::try_from(segments).unwrap_or(1).max(1)
}

fn split(engine: &mut Engine) {
    engine
        .register_fn("split", |text: &mut ImmutableString| collect(text.split_whitespace()))
        .register_fn("split", |text: &mut ImmutableString, by: &str| collect(text.split(by)))
        .register_fn("split", |text: &mut ImmutableString, by: char| collect(text.split(by)))
        .register_fn("split", |text: &mut ImmutableString, by: &str, n: INT| {
            collect(text.splitn(pieces(n), by))
        })
        .register_fn("split", |text: &mut ImmutableString, by: char, n: INT| {
            collect(text.splitn(pieces(n), by))
        })
        .register_fn("split_rev", |text: &mut ImmutableString, by: &str| collect(text.rsplit(by)))
        .register_fn("split_rev", |text: &mut ImmutableString, by: char| collect(text.rsplit(by)))
        .register_fn("split_rev", |text: &mut ImmutableString, by: &str, n: INT| {
            collect(text.rsplitn(pieces(n), by))
        })
        .register_fn("split_rev", |text: &mut ImmutableString, by: char, n: INT| {
            collect(text.rsplitn(pieces(n), by))
        })
        .register_fn("to_chars", |text: &mut ImmutableString| collect(text.chars()));
}

fn pad(engine: &mut Engine) {
    fn padded(text: &mut ImmutableString, len: INT, with: &str) -> Outcome<()> {
        let wanted = usize::try_from(len).unwrap_or(0);
        let have = text.chars().count();
        let each = with.chars().count();
        if wanted <= have || each == 0 {
            return Ok(());
        }
        let times = (wanted - have).div_ceil(each);
        room_for(text.len().saturating_add(times.saturating_mul(with.len())))?;
        let padding: String = with.chars().cycle().take(wanted - have).collect();
        *text += padding.as_str();
        Ok(())
    }
    engine
        .register_fn("pad", |text: &mut ImmutableString, len: INT, with: &str| padded(text, len, with))
        .register_fn("pad", |text: &mut ImmutableString, len: INT, with: char| {
            padded(text, len, with.encode_utf8(&mut [0; 4]))
        })
        .register_fn("pad", |array: &mut Array, len: INT, item: Dynamic| -> Outcome<()> {
            let wanted = usize::try_from(len).unwrap_or(0);
            while array.len() < wanted {
                if array.len().is_multiple_of(STEP) || array.len() == array.capacity() {
                    room_for(STEP * ELEMENT + array.len() * 16)?;
                }
                array.push(item.clone());
            }
            Ok(())
        });
}
