//! Where two ways through a template meet: whether both have come to the same place of the page.

use super::code::starts_pattern;
use super::{AttributeKind, Html, Place, Quote, Raw, Script, Style, UrlPart};

/// All that a place says about how the next value is escaped. Two pages with the same one go on alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Context {
    place: Place,
    /// Of a tag: what its content will be.
    element: Option<Raw>,
    attribute: Option<AttributeKind>,
    quote: Quote,
    url: UrlPart,
    script: Script,
    slash: Slash,
    braces: Vec<Option<usize>>,
    begun_by_value: bool,
    style: Style,
}

/// What a slash would do in a script.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Slash {
    #[default]
    Divides,
    BeginsPattern,
    /// One on one way here, the other on another.
    Unknown,
}

impl Html {
    /// Where the page has come to. What is of no use there is as at the beginning.
    pub(crate) fn context(&self) -> Context {
        // The name of a tag ends with the text that it stands in.
        let place = if self.place == Place::TagName { Place::Tag } else { self.place };
        let in_tag = !matches!(place, Place::Text | Place::Comment | Place::Raw(_));
        let named = matches!(
            place,
            Place::AttributeName | Place::AfterAttributeName | Place::BeforeValue | Place::Value
        );
        let kind = self.attribute_kind();
        let in_value = place == Place::Value;
        let in_script = place == Place::Raw(Raw::Script) || (in_value && kind == AttributeKind::Script);
        let in_style = place == Place::Raw(Raw::Style) || (in_value && kind == AttributeKind::Style);
        let in_url = (in_value && kind == AttributeKind::Url)
            || (in_style && matches!(self.style, Style::Text(_) | Style::Url | Style::UrlText(_)));
        let slash = match () {
            () if !in_script || self.script != Script::Code => Slash::Divides,
            () if self.slash_unknown => Slash::Unknown,
            () if starts_pattern(&self.code) => Slash::BeginsPattern,
            () => Slash::Divides,
        };
        Context {
            place,
            element: in_tag.then(|| self.content()).flatten(),
            attribute: named.then_some(kind),
            quote: if in_value { self.quote } else { Quote::None },
            url: if in_url { self.url } else { UrlPart::Start },
            script: if in_script { self.script } else { Script::Code },
            slash,
            braces: if in_script { self.braces.clone() } else { Vec::new() },
            begun_by_value: in_value && kind != AttributeKind::Plain && self.begun_by_value,
            style: if in_style { self.style } else { Style::Code },
        }
    }

    /// Where a value would stand that came next: in a tag it would be a name, behind `=` an attribute's value.
    pub(crate) fn nudge(&mut self) {
        match self.place {
            Place::Tag | Place::TagName | Place::AfterAttributeName => {
                self.place = Place::AttributeName;
                self.attribute.clear();
            }
            Place::BeforeValue => {
                self.begin_value(Quote::None);
                self.begun_by_value = true;
            }
            _ => {}
        }
    }

    /// Where the page is after either of two ways; `None` if they differ in more than what a link or a slash may leave
    /// open.
    pub(crate) fn join(self, other: &Html) -> Option<Html> {
        let (own, theirs) = (self.context(), other.context());
        if own == theirs {
            return Some(self);
        }
        if (Context { url: theirs.url, ..own.clone() }) == theirs {
            return Some(Html { url: UrlPart::Unknown, ..self });
        }
        if (Context { slash: theirs.slash, ..own.clone() }) == theirs {
            return Some(Html { slash_unknown: true, ..self });
        }
        let (mut a, mut b) = (self, other.clone());
        a.nudge();
        b.nudge();
        let moved = a.context() != own || b.context() != theirs;
        if moved { a.join(&b) } else { None }
    }

    /// In a link of which it depends on the way whether it has come to its query.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.context().url == UrlPart::Unknown
    }
}
