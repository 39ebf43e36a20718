//! HTML: values are escaped as their place in the page needs.
//!
//! In: the literal text of a template and its values, in the order in which they are written. Out: the page. The escaper
//! follows the literal text as a browser would, so it knows where each value stands: between tags, in an attribute, a
//! link, a script, a style. What a value must not do in its place, such as a `javascript:` link, is replaced by a mark.
//! Comments of the template do not reach the page. Source: the documentation of Go's package `html/template`.

mod code;
mod join;

use self::code::tag_in_literal;
pub(crate) use self::join::Context;
use super::escape::{REFUSED, harmless_url, url_with_size};
use super::escape::{
    attribute_value, css_string, css_value, html_text, js_pattern, js_string, js_value, kept_entities,
    normalize_url, query_part, unquoted_attribute,
};
pub(crate) use super::escape::{escape_html, escape_js_text};
use super::printf::sprint_pointed_to;
use super::value::{HTML, URL, Value};

/// Where the page has come to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Html {
    place: Place,
    /// Of a tag: its name, in lower case.
    tag: String,
    closing: bool,
    /// Of a `<script>`: its type.
    script_type: String,
    /// The attribute whose name or value is being written.
    attribute: String,
    quote: Quote,
    url: UrlPart,
    script: Script,
    style: Style,
    /// Code of a script so far, as far as it is of use: does a slash divide or begin a pattern?
    code: String,
    /// Of each `${` of a script that is open: how many braces are open in it, once its own is read.
    braces: Vec<Option<usize>>,
    /// Whether what a slash would do depends on the way through the template.
    slash_unknown: bool,
    /// Behind a backslash in the value of an attribute.
    escaped: bool,
    /// In the value of an attribute without quotes that begins with a value of the template.
    begun_by_value: bool,
    /// The text began in a literal of a script in the value of an attribute.
    began_in_literal: bool,
    /// The first thing in the text that no page has.
    problem: Option<String>,
    /// In the word `url` before its parenthesis.
    after_url: bool,
    /// In a comment of a script or a style.
    comment_open: bool,
    /// Whether some of a comment stood in this piece of text, and a line end in it.
    comment_begun: bool,
    comment_has_line: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    #[default]
    Text,
    Comment,
    /// In a tag, where an attribute may begin.
    Tag,
    TagName,
    AttributeName,
    AfterAttributeName,
    BeforeValue,
    Value,
    /// In an element whose content is not markup.
    Raw(Raw),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Raw {
    Script,
    Style,
    /// `<textarea>` and `<title>`.
    Text,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Quote {
    #[default]
    None,
    Double,
    Single,
}

/// How far a link has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum UrlPart {
    #[default]
    Start,
    BeforeQuery,
    Query,
    /// One or another, by the way through the template.
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Script {
    #[default]
    Code,
    /// The quote that ends it.
    Text(char),
    /// A regular expression; in a class of characters its end is a character, too.
    Pattern {
        class: bool,
    },
    LineComment,
    BlockComment,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Style {
    #[default]
    Code,
    Text(char),
    /// In `url(…)`.
    Url,
    /// In `url(` before a quote.
    BeforeUrlText,
    /// In `url("…")`.
    UrlText(char),
    Comment,
    LineComment,
}

/// What an attribute's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum AttributeKind {
    Plain,
    Url,
    /// Links with sizes, separated by commas.
    UrlSet,
    Script,
    Style,
}

/// What `<script>` may hold besides the types with `javascript` or `ecmascript` in their name.
const SCRIPT_TYPES: [&str; 6] =
    ["", "module", "application/json", "application/ld+json", "text/jscript", "text/livescript"];

const URL_ATTRIBUTES: [&str; 20] = [
    "action",
    "archive",
    "background",
    "cite",
    "classid",
    "codebase",
    "data",
    "dynsrc",
    "formaction",
    "href",
    "icon",
    "longdesc",
    "lowsrc",
    "manifest",
    "poster",
    "profile",
    "src",
    "usemap",
    "xlink:href",
    "ping",
];

impl Html {
    fn attribute_kind(&self) -> AttributeKind {
        let name = self.attribute.strip_prefix("data-").unwrap_or(&self.attribute);
        if name.starts_with("on") {
            AttributeKind::Script
        } else if name == "style" {
            AttributeKind::Style
        } else if name == "srcset" {
            AttributeKind::UrlSet
        } else if URL_ATTRIBUTES.contains(&name)
            || (name != self.attribute && ["src", "uri", "url"].iter().any(|part| name.contains(part)))
            || name.starts_with("xmlns")
        {
            AttributeKind::Url
        } else {
            AttributeKind::Plain
        }
    }

    /// Literal text of the template: copied, followed.
    pub(crate) fn text(&mut self, text: &str, out: &mut String) {
        self.began_in_literal = self.place == Place::Value
            && self.attribute_kind() == AttributeKind::Script
            && self.in_script_literal();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let used = self.character(c, rest, out);
            rest = &rest[used..];
        }
        if self.comment_begun && self.in_block_comment() {
            self.leave_out_comment(out);
        }
        if self.escaped {
            self.refuse("a backslash at the end of the text, so that it is open what it escapes", text);
        }
        if self.context_has_open_class() {
            self.refuse("a class of a regular expression that is not closed in the same text", text);
        }
    }

    fn context_has_open_class(&self) -> bool {
        matches!(self.place, Place::Raw(Raw::Script) | Place::Value)
            && self.script == Script::Pattern { class: true }
    }

    /// What the text that was followed has that no page has, if anything.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    fn refuse(&mut self, what: &str, text: &str) {
        if self.problem.is_none() {
            let shown: String = text.chars().take(32).collect();
            self.problem = Some(format!("{what}: `{shown}`"));
        }
    }

    fn in_block_comment(&self) -> bool {
        self.script == Script::BlockComment || self.style == Style::Comment
    }

    /// Comments of scripts and styles do not reach the page; what stood between two words stays apart.
    fn leave_out_comment(&mut self, out: &mut String) {
        out.push(if self.comment_has_line { '\n' } else { ' ' });
        (self.comment_begun, self.comment_has_line) = (false, false);
    }

    /// Whether the page may end here; if not, where it has come to.
    pub(crate) fn unfinished(&self) -> Option<&'static str> {
        (self.place != Place::Text).then(|| self.place())
    }

    /// Where the page has come to, in words.
    pub(crate) fn place(&self) -> &'static str {
        match self.place {
            Place::Text => "text",
            Place::Comment => "a comment",
            Place::Raw(Raw::Script) => "a script, whose end tag is missing",
            Place::Raw(Raw::Style) => "a style, whose end tag is missing",
            Place::Raw(Raw::Text) => "an element whose end tag is missing",
            Place::BeforeValue => "the value of an attribute",
            Place::Value => match (self.attribute_kind(), self.quote) {
                (AttributeKind::Url | AttributeKind::UrlSet, _) => "a link in an attribute",
                (AttributeKind::Script, _) => "a script in an attribute",
                (AttributeKind::Style, _) => "a style in an attribute",
                (AttributeKind::Plain, Quote::None) => "the value of an attribute without quotes",
                (AttributeKind::Plain, _) => "the value of an attribute",
            },
            Place::AttributeName | Place::AfterAttributeName => "an attribute",
            Place::Tag | Place::TagName => "a tag",
        }
    }

    /// Whether a value is escaped as text of the page in the end, be it as the value of an attribute.
    pub(crate) fn escapes_as_text(&self) -> bool {
        !matches!(self.place, Place::Comment | Place::Raw(Raw::Script | Raw::Style))
    }

    /// In an attribute's value without quotes.
    pub(crate) fn is_unquoted_value(&self) -> bool {
        let unquoted =
            self.place == Place::BeforeValue || (self.place == Place::Value && self.quote == Quote::None);
        unquoted && self.attribute_kind() == AttributeKind::Plain
    }

    /// In the query of a link.
    pub(crate) fn is_query(&self) -> bool {
        self.place == Place::Value
            && self.attribute_kind() == AttributeKind::Url
            && self.url == UrlPart::Query
    }

    /// Follows one character, or a few that belong together; how many bytes.
    fn character(&mut self, c: char, rest: &str, out: &mut String) -> usize {
        match self.place {
            Place::Text => self.in_text(c, rest, out),
            Place::Comment => {
                if rest.starts_with("-->") {
                    self.place = Place::Text;
                    return 3;
                }
                c.len_utf8()
            }
            Place::Raw(raw) => self.in_raw(raw, c, rest, out),
            Place::Value => self.in_value(c, rest, out),
            _ => {
                self.in_tag(c, rest);
                out.push(c);
                c.len_utf8()
            }
        }
    }

    fn in_text(&mut self, c: char, rest: &str, out: &mut String) -> usize {
        if c != '<' {
            out.push(c);
            return c.len_utf8();
        }
        if rest.starts_with("<!--") {
            self.place = Place::Comment;
            return 4;
        }
        let after = rest[1..].strip_prefix('/').unwrap_or(&rest[1..]);
        if after.starts_with(|c: char| c.is_ascii_alphabetic()) {
            self.place = Place::TagName;
            self.closing = rest[1..].starts_with('/');
            self.tag.clear();
            self.script_type.clear();
            let head = if self.closing { "</" } else { "<" };
            out.push_str(head);
            return head.len();
        }
        out.push_str(if begins_doctype(rest) { "<" } else { "&lt;" });
        1
    }

    /// Outside of values, in a tag.
    fn in_tag(&mut self, c: char, rest: &str) {
        let blank = c.is_ascii_whitespace();
        match (self.place, c) {
            (Place::TagName, c) if c.is_ascii_alphanumeric() || c == '-' || c == ':' => {
                self.tag.push(c.to_ascii_lowercase());
            }
            (Place::BeforeValue, _) if blank => {}
            (Place::BeforeValue, '"' | '\'') => {
                self.begin_value(if c == '"' { Quote::Double } else { Quote::Single });
            }
            (_, '>') => self.end_tag(),
            (Place::BeforeValue, _) => {
                self.begin_value(Quote::None);
                self.refuse_in_unquoted(c, rest);
                self.follow_value(c, "");
            }
            (Place::AttributeName | Place::AfterAttributeName, '=') => self.place = Place::BeforeValue,
            (_, '=') => self.refuse("`=` in a tag without the name of an attribute before it", rest),
            (_, '"' | '\'' | '<') => {
                self.refuse("a quote or `<` in a tag where the name of an attribute could stand", rest);
            }
            (Place::AttributeName, _) if blank => self.place = Place::AfterAttributeName,
            (Place::AttributeName, _) => self.attribute.push(c.to_ascii_lowercase()),
            (_, _) if blank || c == '/' => {
                if self.place != Place::AfterAttributeName {
                    self.place = Place::Tag;
                }
            }
            _ => {
                self.place = Place::AttributeName;
                self.attribute.clear();
                self.attribute.push(c.to_ascii_lowercase());
            }
        }
    }

    fn end_tag(&mut self) {
        self.script = Script::Code;
        self.style = Style::Code;
        self.code.clear();
        self.braces.clear();
        self.place = self.content().map_or(Place::Text, Place::Raw);
    }

    /// What the content of the tag's element is, if it is not markup.
    fn content(&self) -> Option<Raw> {
        match (self.closing, self.tag.as_str()) {
            (false, "script") if self.is_script() => Some(Raw::Script),
            (false, "style") => Some(Raw::Style),
            (false, "textarea" | "title") => Some(Raw::Text),
            _ => None,
        }
    }

    fn is_script(&self) -> bool {
        let kind = self.script_type.split(';').next().unwrap_or_default().trim();
        kind.contains("javascript") || kind.contains("ecmascript") || SCRIPT_TYPES.contains(&kind)
    }

    fn begin_value(&mut self, quote: Quote) {
        self.place = Place::Value;
        self.quote = quote;
        self.url = UrlPart::Start;
        self.code.clear();
        self.slash_unknown = false;
        self.braces.clear();
        (self.begun_by_value, self.began_in_literal) = (false, false);
        self.script = Script::Code;
        self.style = Style::Code;
    }

    /// Browsers take these in a value without quotes, each in its own way.
    fn refuse_in_unquoted(&mut self, c: char, rest: &str) {
        if self.quote == Quote::None && matches!(c, '"' | '\'' | '<' | '=' | '`') {
            self.refuse("a quote, `<` or `=` in the value of an attribute without quotes", rest);
        }
    }

    fn in_value(&mut self, c: char, rest: &str, out: &mut String) -> usize {
        let ends = match self.quote {
            Quote::Double => c == '"',
            Quote::Single => c == '\'',
            Quote::None => c.is_ascii_whitespace() || c == '>',
        };
        if ends {
            self.place = Place::Tag;
            if c == '>' && self.quote == Quote::None {
                self.end_tag();
            }
            out.push(c);
            return c.len_utf8();
        }
        self.refuse_in_unquoted(c, rest);
        // What the browser reads, not how it is written.
        if let Some((len, meant)) = entity(rest) {
            self.follow_value(meant, "");
            out.push_str(&rest[..len]);
            return len;
        }
        if self.began_in_literal && tag_in_literal(rest).is_some() {
            self.follow_value(c, rest);
            out.push_str("\\x3C");
            return 1;
        }
        self.follow_value(c, rest);
        out.push(c);
        c.len_utf8()
    }

    fn follow_value(&mut self, c: char, rest: &str) {
        let in_literal = match self.attribute_kind() {
            AttributeKind::Script => self.in_script_literal(),
            AttributeKind::Style => matches!(self.style, Style::Text(_) | Style::Url | Style::UrlText(_)),
            _ => false,
        };
        // An escaped character does not end a text.
        if std::mem::take(&mut self.escaped) {
            return;
        }
        self.escaped = in_literal && c == '\\';
        let in_comment = self.in_block_comment();
        match self.attribute_kind() {
            _ if self.escaped => {}
            AttributeKind::Plain if self.tag == "script" && self.attribute == "type" => {
                self.script_type.push(c.to_ascii_lowercase());
            }
            AttributeKind::Plain | AttributeKind::UrlSet => {}
            AttributeKind::Url => self.follow_url(c),
            AttributeKind::Script => self.follow_script(c, rest),
            AttributeKind::Style => self.follow_style(c, rest),
        }
        // The two characters that begin or end a comment are one.
        self.escaped |= in_comment != self.in_block_comment();
    }

    fn follow_url(&mut self, c: char) {
        self.url = match (self.url, c) {
            (UrlPart::Query, _) | (_, '?' | '#') => UrlPart::Query,
            (UrlPart::Unknown, _) => UrlPart::Unknown,
            (UrlPart::Start, c) if c.is_ascii_whitespace() || matches!(c, '"' | '\'') => UrlPart::Start,
            _ => UrlPart::BeforeQuery,
        };
    }

    /// In an element whose content ends only with its closing tag.
    fn in_raw(&mut self, raw: Raw, c: char, rest: &str, out: &mut String) -> usize {
        let in_script = raw == Raw::Script;
        let in_literal = in_script && self.in_script_literal();
        let in_comment = in_script && matches!(self.script, Script::LineComment | Script::BlockComment);
        if in_literal && let Some(used) = tag_in_literal(rest) {
            out.push_str("\\x3C");
            out.push_str(&rest[1..used]);
            return used;
        }
        let ends = c == '<'
            && !in_comment
            && rest[1..].strip_prefix('/').is_some_and(|name| {
                name.get(..self.tag.len()).is_some_and(|name| name.eq_ignore_ascii_case(&self.tag))
                    && name[self.tag.len()..].starts_with([' ', '\t', '\n', '\x0c', '\r', '/', '>'])
            });
        if ends {
            self.place = Place::TagName;
            self.closing = true;
            self.tag.clear();
            out.push_str("</");
            return 2;
        }
        if self.in_block_comment() && rest.starts_with("*/") {
            (self.script, self.style) = (Script::Code, Style::Code);
            self.leave_out_comment(out);
            return 2;
        }
        if raw == Raw::Text && c == '<' && !begins_doctype(rest) {
            out.push_str("&lt;");
            return 1;
        }
        match raw {
            Raw::Script => self.follow_script(c, rest),
            Raw::Style => self.follow_style(c, rest),
            Raw::Text => {}
        }
        if self.in_block_comment() || self.script == Script::LineComment || self.style == Style::LineComment {
            self.comment_begun |= self.in_block_comment();
            self.comment_has_line |=
                raw == Raw::Script && self.in_block_comment() && matches!(c, '\n' | '\r');
            let opens = rest.starts_with("/*") && !self.comment_open;
            self.comment_open = true;
            // `/*/` does not close itself.
            return if opens { 2 } else { c.len_utf8() };
        }
        self.comment_open = false;
        // An escaped character does not end a text.
        let escaped = c == '\\' && (!matches!(self.script, Script::Code) || self.style != Style::Code);
        if escaped && rest.len() == 1 {
            self.refuse("a backslash at the end of the text, so that it is open what it escapes", rest);
        }
        if escaped && let Some(next) = rest[1..].chars().next() {
            out.push(c);
            match in_literal && tag_in_literal(&rest[1..]).is_some() {
                true => out.push_str("\\x3C"),
                false => out.push(next),
            }
            return 1 + next.len_utf8();
        }
        out.push(c);
        c.len_utf8()
    }

    /// A value that the template escapes itself, with `html` at the end: in the page's text that is enough.
    pub(crate) fn text_value(&mut self, text: &str, out: &mut String) {
        if matches!(self.place, Place::Text | Place::Raw(Raw::Text))
            || (self.place == Place::Value && self.attribute_kind() == AttributeKind::Plain)
        {
            out.push_str(&escape_html(text));
        } else {
            self.value(&Value::str(text), out);
        }
    }

    /// A value, escaped for its place.
    pub(crate) fn value(&mut self, value: &Value, out: &mut String) {
        let text =
            if value.is_nothing() { String::new() } else { sprint_pointed_to(std::slice::from_ref(value)) };
        let is = |ty: &super::value::Type| matches!(value, Value::Str(_, own) if std::ptr::eq(*own, ty));
        match self.place {
            Place::Text if is(&HTML) => out.push_str(&text),
            Place::Text => out.push_str(&html_text(&text)),
            Place::Comment => {}
            Place::Raw(Raw::Text) if is(&HTML) => out.push_str(&kept_entities(&text)),
            Place::Raw(Raw::Text) => out.push_str(&html_text(&text)),
            Place::Raw(Raw::Script) => out.push_str(&self.script_value(value, &text)),
            Place::Raw(Raw::Style) => {
                let style = self.style_value(&text, is(&URL));
                out.push_str(&style);
            }
            Place::Tag | Place::TagName | Place::AttributeName | Place::AfterAttributeName => {
                self.name_value(&text, out);
            }
            Place::BeforeValue => {
                self.begin_value(Quote::None);
                self.attribute_text(value, &text, is(&URL), is(&HTML), out);
            }
            Place::Value => self.attribute_text(value, &text, is(&URL), is(&HTML), out),
        }
    }

    /// The name of a tag or an attribute: only a harmless one.
    fn name_value(&mut self, text: &str, out: &mut String) {
        let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric());
        let before = std::mem::replace(&mut self.attribute, text.to_ascii_lowercase());
        let harmless = plain && self.attribute_kind() == AttributeKind::Plain;
        if self.place != Place::AttributeName {
            self.place = Place::AttributeName;
        } else {
            self.attribute = before + &self.attribute;
        }
        out.push_str(if harmless { text } else { REFUSED });
    }

    fn attribute_text(&mut self, value: &Value, text: &str, url: bool, html: bool, out: &mut String) {
        let escaped = match self.attribute_kind() {
            AttributeKind::Plain => {
                let text = if html { attribute_value(text) } else { text.to_owned() };
                out.push_str(&self.quoted(&text, html));
                return;
            }
            AttributeKind::Url => self.url_value(text, url),
            AttributeKind::UrlSet => text.split(',').map(url_with_size).collect::<Vec<_>>().join(","),
            AttributeKind::Script => self.script_value(value, text),
            AttributeKind::Style => self.style_value(text, url),
        };
        out.push_str(&self.quoted(&escaped, false));
    }

    /// A link or a part of one; `url` says that it is one already.
    fn url_value(&self, text: &str, url: bool) -> String {
        match self.url {
            _ if url => normalize_url(text),
            UrlPart::Start if !harmless_url(text) => format!("#{REFUSED}"),
            UrlPart::Start | UrlPart::BeforeQuery | UrlPart::Unknown => normalize_url(text),
            UrlPart::Query => query_part(text),
        }
    }

    /// As the attribute's quotes need. `kept`: entities in it are meant as such.
    fn quoted(&self, text: &str, kept: bool) -> String {
        match (self.quote, kept) {
            (Quote::None, _) if text.is_empty() => REFUSED.to_owned(),
            (Quote::None, _) => unquoted_attribute(text, kept),
            (_, true) => text.to_owned(),
            (_, false) => html_text(text),
        }
    }

    fn script_value(&mut self, value: &Value, text: &str) -> String {
        match self.script {
            Script::Code => {
                // Behind a value a slash divides.
                self.code.push(')');
                self.slash_unknown = false;
                js_value(value)
            }
            Script::Pattern { .. } => js_pattern(text),
            Script::Text(quote) => js_string(text, quote == '`'),
            Script::LineComment | Script::BlockComment => String::new(),
        }
    }

    fn style_value(&self, text: &str, url: bool) -> String {
        match self.style {
            Style::Code => css_value(text).unwrap_or_else(|| REFUSED.to_owned()),
            Style::BeforeUrlText => text.to_owned(),
            Style::Text(_) | Style::Url | Style::UrlText(_)
                if self.url == UrlPart::Start && !url && !harmless_url(text) =>
            {
                format!("#{REFUSED}")
            }
            Style::Text(_) if self.url != UrlPart::Query => css_string(text),
            Style::Text(_) | Style::Url | Style::UrlText(_) => self.url_value(text, url),
            Style::Comment | Style::LineComment => String::new(),
        }
    }
}

fn begins_doctype(text: &str) -> bool {
    text.get(..9).is_some_and(|head| head.eq_ignore_ascii_case("<!doctype"))
}

/// A character written as an entity at the start of a text: its length, and what it means.
fn entity(text: &str) -> Option<(usize, char)> {
    let end = text.strip_prefix('&')?.find(';')? + 1;
    let name = text.get(1..end).filter(|name| name.len() <= 8)?;
    let c = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
        None => match name {
            "quot" => '"',
            "apos" => '\'',
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "nbsp" => '\u{a0}',
            "colon" => ':',
            _ => return None,
        },
    };
    Some((end + 1, c))
}
