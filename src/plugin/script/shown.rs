//! Values as text. Ours and not Rhai's: a function can hold a variable that holds the function, and printing that with
//! Rhai's own formatter does not end.

use std::fmt::Write as _;

use rhai::{Array, Dynamic, Engine, EvalAltResult, FnPtr, ImmutableString, Map};

use super::running::room_for;

const DEPTH: usize = 16;
/// The limit is looked at whenever the text has grown by so much.
const STEP: usize = 64 << 10;

type Outcome<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn register(engine: &mut Engine) {
    for name in ["to_string", "print", "to_debug", "debug"] {
        engine
            .register_fn(name, |array: &mut Array| list(array.iter()))
            .register_fn(name, |map: &mut Map| entries(map))
            .register_fn(name, |function: &mut FnPtr| format!("Fn({})", function.fn_name()));
    }
    for name in ["to_debug", "debug"] {
        engine.register_fn(name, |value: Dynamic| one(&value));
    }
    for name in ["==", "!="] {
        engine.register_fn(name, move |a: FnPtr, b: FnPtr| (a.fn_name() == b.fn_name()) == (name == "=="));
    }
}

fn list<'a>(items: impl Iterator<Item = &'a Dynamic>) -> Outcome<String> {
    let mut text = Text::default();
    text.list(items, DEPTH)?;
    Ok(text.out)
}

fn entries(map: &Map) -> Outcome<String> {
    let mut text = Text::default();
    text.map(map, DEPTH)?;
    Ok(text.out)
}

fn one(value: &Dynamic) -> Outcome<String> {
    let mut text = Text::default();
    text.value(value, DEPTH)?;
    Ok(text.out)
}

#[derive(Default)]
struct Text {
    out: String,
    checked: usize,
}

impl Text {
    fn value(&mut self, value: &Dynamic, depth: usize) -> Outcome<()> {
        if self.out.len() - self.checked > STEP {
            room_for(self.out.len() + STEP)?;
            self.checked = self.out.len();
        }
        let Some(deeper) = depth.checked_sub(1) else {
            self.out.push('…');
            return Ok(());
        };
        if let Some(text) = value.read_lock::<ImmutableString>() {
            let _ = write!(self.out, "{:?}", text.as_str());
        } else if let Some(items) = value.read_lock::<Array>() {
            self.list(items.iter(), deeper)?;
        } else if let Some(map) = value.read_lock::<Map>() {
            self.map(&map, deeper)?;
        } else if let Some(function) = value.read_lock::<FnPtr>() {
            let _ = write!(self.out, "Fn({})", function.fn_name());
        } else {
            let _ = write!(self.out, "{value}");
        }
        Ok(())
    }

    fn list<'a>(&mut self, items: impl Iterator<Item = &'a Dynamic>, depth: usize) -> Outcome<()> {
        self.out.push('[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            self.value(item, depth)?;
        }
        self.out.push(']');
        Ok(())
    }

    fn map(&mut self, map: &Map, depth: usize) -> Outcome<()> {
        self.out.push_str("#{");
        for (index, (key, value)) in map.iter().enumerate() {
            let _ = write!(self.out, "{}{key:?}: ", if index > 0 { ", " } else { "" });
            self.value(value, depth)?;
        }
        self.out.push('}');
        Ok(())
    }
}
