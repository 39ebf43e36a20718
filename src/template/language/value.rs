//! What templates compute with: values that know the type they have in Go.
//!
//! A value of a named type has fields, methods, elements and a text at once: notification data is a list that answers
//! `.Firing`, a map that answers `.SortedPairs`, a time that answers `.Format`. Types are tables, so that one executor
//! serves all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Zoned;
use model::Histogram;

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// What a key gives that is not there. Prints as `<no value>`.
    Missing,
    /// An empty interface. Prints as `<no value>`, and as `<nil>` inside of texts.
    Nil,
    Bool(bool),
    /// Any signed integer type: `int`, a duration, a month.
    Int(i64, &'static Type),
    /// An unsigned integer type.
    Uint(u64, &'static Type),
    Float(f64),
    /// Any string type: `string`, or one that HTML takes as it is.
    Str(Arc<str>, &'static Type),
    List(Arc<List>),
    Map(Arc<Map>),
    Struct(Arc<Struct>),
    Time(Arc<Zoned>),
    Histogram(Arc<Histogram>),
}

/// Elements in order.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) ty: &'static Type,
    pub(crate) items: Vec<Value>,
}

/// Values by name, in name order.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) ty: &'static Type,
    pub(crate) entries: BTreeMap<String, Value>,
    /// Whether it was never made: such a map is empty, and `null` in JSON.
    pub(crate) nil: bool,
}

/// Named fields: their names are in the type.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) ty: &'static Type,
    /// In the type's order.
    pub(crate) fields: Vec<Value>,
}

/// A type: what values of it can do besides what their kind can.
#[derive(Debug)]
pub(crate) struct Type {
    /// As Go prints it.
    pub(crate) name: &'static str,
    /// Of a struct: each field's name, and its name in JSON.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    pub(crate) methods: &'static [Method],
    /// How it shows itself, if not as its kind does.
    pub(crate) text: Option<fn(&Value) -> String>,
    /// Of a map: what a key gives that is not there.
    pub(crate) zero: Zero,
}

/// What a map gives for a key that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zero {
    /// The empty string.
    EmptyString,
    /// Nothing.
    Nil,
}

/// A method of a type.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) name: &'static str,
    pub(crate) params: &'static [Param],
    /// The receiver and as many arguments as there are parameters, of the right types.
    pub(crate) call: fn(&Value, &[Value]) -> Result<Value, String>,
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Param {
    Any,
    Str,
    Int,
    Strings,
    /// A list of anything.
    AnyList,
    Time,
    Duration,
    /// The zone of a time.
    Location,
    /// The answer of `query`.
    Vector,
    /// One element of it.
    Sample,
}

impl Type {
    /// A type that can do what its kind can and nothing more.
    pub(crate) const fn plain(name: &'static str) -> Self {
        Type { name, fields: &[], methods: &[], text: None, zero: Zero::Nil }
    }

    /// Whether values of it are pointers to a struct.
    pub(crate) fn is_pointer(&self) -> bool {
        self.name.starts_with('*')
    }

    pub(crate) fn method(&self, name: &str) -> Option<&'static Method> {
        self.methods.iter().find(|method| method.name == name)
    }
}

pub(crate) static INT: Type = Type::plain("int");
pub(crate) static UINT64: Type = Type::plain("uint64");
pub(crate) static UINT8: Type = Type::plain("uint8");
pub(crate) static STRING: Type = Type::plain("string");
/// Text that is HTML already.
pub(crate) static HTML: Type = Type::plain("template.HTML");
/// Text that is a URL, or a part of one, already.
pub(crate) static URL: Type = Type::plain("template.URL");
pub(crate) static STRINGS: Type = Type::plain("[]string");
pub(crate) static ANY_LIST: Type = Type::plain("[]interface {}");
pub(crate) static ANY_MAP: Type = Type::plain("map[string]interface {}");
pub(crate) static STRING_MAP: Type = Type { zero: Zero::EmptyString, ..Type::plain("map[string]string") };

impl Value {
    pub(crate) fn int(value: i64) -> Self {
        Value::Int(value, &INT)
    }

    pub(crate) fn uint(value: u64) -> Self {
        Value::Uint(value, &UINT64)
    }

    pub(crate) fn str(text: impl Into<Arc<str>>) -> Self {
        Value::Str(text.into(), &STRING)
    }

    pub(crate) fn list(ty: &'static Type, items: Vec<Value>) -> Self {
        Value::List(Arc::new(List { ty, items }))
    }

    pub(crate) fn strings<S: Into<Arc<str>>>(items: impl IntoIterator<Item = S>) -> Self {
        Value::list(&STRINGS, items.into_iter().map(Value::str).collect())
    }

    pub(crate) fn map(ty: &'static Type, entries: BTreeMap<String, Value>) -> Self {
        Value::Map(Arc::new(Map { ty, entries, nil: false }))
    }

    pub(crate) fn string_map<'a>(
        ty: &'static Type,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        Value::map(ty, pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::str(value))).collect())
    }

    pub(crate) fn structure(ty: &'static Type, fields: Vec<Value>) -> Self {
        Value::Struct(Arc::new(Struct { ty, fields }))
    }

    /// The name of its type, as Go prints it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self.named_type() {
            Some(ty) => ty.name,
            None => match self {
                Value::Bool(_) => "bool",
                Value::Float(_) => "float64",
                Value::Histogram(_) => "*histogram.FloatHistogram",
                _ => "<nil>",
            },
        }
    }

    /// Its type in a sentence: `a string`, `an int`.
    pub(crate) fn with_article(&self) -> String {
        let name = self.type_name();
        format!("{} {name}", if name.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" })
    }

    /// Its type, if it has one with a table.
    pub(crate) fn named_type(&self) -> Option<&'static Type> {
        match self {
            Value::Int(_, ty) | Value::Uint(_, ty) | Value::Str(_, ty) => Some(ty),
            Value::List(list) => Some(list.ty),
            Value::Map(map) => Some(map.ty),
            Value::Struct(structure) => Some(structure.ty),
            Value::Time(_) => Some(&super::time::TIME),
            _ => None,
        }
    }

    /// Whether there is nothing: no value, or an empty interface.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Value::Missing | Value::Nil)
    }

    /// What `if` makes of it: false is `false`, zero, an empty text, list or map, and nothing.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Value::Missing | Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value, _) => *value != 0,
            Value::Uint(value, _) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Str(text, _) => !text.is_empty(),
            Value::List(list) => !list.items.is_empty(),
            Value::Map(map) => !map.entries.is_empty(),
            Value::Struct(_) | Value::Time(_) | Value::Histogram(_) => true,
        }
    }

    /// The text of a string value.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text, _) => Some(text),
            _ => None,
        }
    }

    /// The text of a value of the type `string` itself: parameters do not take types made of it.
    pub(crate) fn as_plain_str(&self) -> Option<&str> {
        match self {
            Value::Str(text, ty) if std::ptr::eq(*ty, &STRING) => Some(text),
            _ => None,
        }
    }

    /// The texts of a list of strings.
    pub(crate) fn as_strings(&self) -> Option<Vec<&str>> {
        match self {
            Value::List(list) => list.items.iter().map(Value::as_str).collect(),
            _ => None,
        }
    }

    /// A field of a struct.
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        let Value::Struct(structure) = self else { return None };
        let position = structure.ty.fields.iter().position(|(field, _)| *field == name)?;
        structure.fields.get(position)
    }
}

impl Map {
    /// The value of `name`, or what the type gives when it is not there.
    pub(crate) fn get(&self, name: &str) -> Value {
        match (self.entries.get(name), self.ty.zero) {
            (Some(value), _) => value.clone(),
            (None, Zero::EmptyString) => Value::str(""),
            (None, Zero::Nil) => Value::Nil,
        }
    }
}

impl Param {
    /// Whether it takes `value`.
    pub(crate) fn takes(self, value: &Value) -> bool {
        match self {
            Param::Any => true,
            Param::Strings | Param::AnyList | Param::Vector if matches!(value, Value::Missing) => true,
            Param::Str => value.as_plain_str().is_some(),
            Param::Int => matches!(value, Value::Int(_, ty) if ty.name == INT.name),
            Param::Strings => matches!(value, Value::List(list) if list.ty.name == STRINGS.name),
            Param::AnyList => matches!(value, Value::List(list) if list.ty.name == ANY_LIST.name),
            Param::Time => matches!(value, Value::Time(_)),
            Param::Duration => matches!(value, Value::Int(_, ty) if ty.name == super::time::DURATION.name),
            Param::Location => matches!(value, Value::Str(_, ty) if ty.name == super::time::LOCATION.name),
            Param::Vector => matches!(value, Value::List(list) if list.ty.name == VECTOR_NAME),
            Param::Sample => matches!(value, Value::Struct(s) if s.ty.name == SAMPLE_NAME),
        }
    }

    /// The type it asks for, as messages name it.
    pub(crate) fn expects(self) -> &'static str {
        match self {
            Param::Any => "anything",
            Param::Str => "string",
            Param::Int => "int",
            Param::Strings => "[]string",
            Param::Time => "time.Time",
            Param::Duration => "time.Duration",
            Param::Location => "*time.Location",
            Param::AnyList => "[]interface {}",
            Param::Vector => "the answer of a query",
            Param::Sample => "an element of a query's answer",
        }
    }
}

/// The name of the type of `query`'s answer.
pub(crate) const VECTOR_NAME: &str = "template.queryResult";
/// The name of the type of one of its elements.
pub(crate) const SAMPLE_NAME: &str = "*template.sample";
