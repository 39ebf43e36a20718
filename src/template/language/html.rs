//! HTML: values are escaped as their place in the page needs.
//!
//! In: the literal text of a template and its values, in the order in which they are written. Out: the page. The escaper
//! follows the literal text as a browser would, so it knows where each value stands: between tags, in an attribute, a
//! link, a script, a style. What a value must not do in its place, such as a `javascript:` link, is replaced by a mark.
//! Comments of the template do not reach the page. Source: the documentation of Go's package `html/template`.

use super::escape::{
    attribute_value, css_string, css_value, html_text, js_pattern, js_string, js_value, kept_entities,
    normalize_url, query_part, unquoted_attribute,
};
pub(crate) use super::escape::{escape_html, escape_js_text};
use super::printf::sprint_pointed_to;
use super::value::{HTML, URL, Value};

/// Stands for a value that would be dangerous in its place.
const REFUSED: &str = "ZgotmplZ";

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
    /// In the word `url` before its parenthesis.
    after_url: bool,
    /// In a comment of a script or a style.
    comment_open: bool,
    /// Whether some of a comment stood in this piece of text, and a line end in it.
    comment_begun: bool,
    comment_has_line: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Raw {
    Script,
    Style,
    /// `<textarea>` and `<title>`.
    Text,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Quote {
    #[default]
    None,
    Double,
    Single,
}

/// How far a link has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum UrlPart {
    #[default]
    Start,
    BeforeQuery,
    Query,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Style {
    #[default]
    Code,
    Text(char),
    /// In `url(…)`.
    Url,
    Comment,
}

/// What an attribute's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let used = self.character(c, rest, out);
            rest = &rest[used..];
        }
        if self.comment_begun && self.in_block_comment() {
            self.leave_out_comment(out);
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
        Some(match self.place {
            Place::Text => return None,
            Place::Comment => "a comment",
            Place::Raw(_) => "an element whose end tag is missing",
            Place::BeforeValue | Place::Value => "the value of an attribute",
            _ => "a tag",
        })
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
                self.in_tag(c);
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
        let doctype = rest.get(..9).is_some_and(|head| head.eq_ignore_ascii_case("<!doctype"));
        out.push_str(if doctype { "<" } else { "&lt;" });
        1
    }

    /// Outside of values, in a tag.
    fn in_tag(&mut self, c: char) {
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
                self.follow_value(c, "");
            }
            (Place::AttributeName | Place::AfterAttributeName, '=') => self.place = Place::BeforeValue,
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
        self.place = match (self.closing, self.tag.as_str()) {
            (false, "script") if self.is_script() => Place::Raw(Raw::Script),
            (false, "script") => Place::Raw(Raw::Text),
            (false, "style") => Place::Raw(Raw::Style),
            (false, "textarea" | "title") => Place::Raw(Raw::Text),
            _ => Place::Text,
        };
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
        self.script = Script::Code;
        self.style = Style::Code;
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
        // What the browser reads, not how it is written.
        if let Some((len, meant)) = entity(rest) {
            self.follow_value(meant, "");
            out.push_str(&rest[..len]);
            return len;
        }
        self.follow_value(c, rest);
        out.push(c);
        c.len_utf8()
    }

    fn follow_value(&mut self, c: char, rest: &str) {
        match self.attribute_kind() {
            AttributeKind::Plain if self.tag == "script" && self.attribute == "type" => {
                self.script_type.push(c.to_ascii_lowercase());
            }
            AttributeKind::Plain | AttributeKind::UrlSet => {}
            AttributeKind::Url => self.follow_url(c),
            AttributeKind::Script => self.follow_script(c, ""),
            AttributeKind::Style => self.follow_style(c, rest),
        }
    }

    fn follow_url(&mut self, c: char) {
        self.url = match (self.url, c) {
            (UrlPart::Query, _) | (_, '?' | '#') => UrlPart::Query,
            (UrlPart::Start, c) if c.is_ascii_whitespace() || matches!(c, '"' | '\'') => UrlPart::Start,
            _ => UrlPart::BeforeQuery,
        };
    }

    /// In an element whose content ends only with its closing tag.
    fn in_raw(&mut self, raw: Raw, c: char, rest: &str, out: &mut String) -> usize {
        let in_text = raw == Raw::Script && matches!(self.script, Script::Text(_));
        let looks_like_tag =
            |name: &str| rest.get(1..=name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name));
        if in_text && c == '<' && ["!--", "script", "/script"].into_iter().any(looks_like_tag) {
            // A browser would see a tag in the middle of the text.
            out.push_str("\\x3C");
            return 1;
        }
        let ends = c == '<'
            && rest[1..].strip_prefix('/').is_some_and(|name| {
                name.get(..self.tag.len()).is_some_and(|name| name.eq_ignore_ascii_case(&self.tag))
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
        match raw {
            Raw::Script => self.follow_script(c, rest),
            Raw::Style => self.follow_style(c, rest),
            Raw::Text => {}
        }
        if self.in_block_comment() || self.script == Script::LineComment {
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
        if escaped && let Some(next) = rest[1..].chars().next() {
            out.push(c);
            out.push(next);
            return 1 + next.len_utf8();
        }
        out.push(c);
        c.len_utf8()
    }

    fn follow_script(&mut self, c: char, rest: &str) {
        self.script = match (self.script, c) {
            (Script::Code, '"' | '\'' | '`') => {
                self.code.push(c);
                Script::Text(c)
            }
            (Script::Code, '/') if rest.starts_with("//") => Script::LineComment,
            (Script::Code, '/') if rest.starts_with("/*") => Script::BlockComment,
            (Script::Code, '/') if starts_pattern(&self.code) => Script::Pattern { class: false },
            (Script::Code, c) => {
                self.code.push(c);
                Script::Code
            }
            (Script::Pattern { class: false }, '/') => {
                self.code.push('/');
                self.code.push(')');
                Script::Code
            }
            (Script::Pattern { .. }, '[') => Script::Pattern { class: true },
            (Script::Pattern { .. }, ']') => Script::Pattern { class: false },
            (Script::Text(quote), c) if c == quote => Script::Code,
            (Script::LineComment, '\n' | '\r') => Script::Code,
            (Script::BlockComment, '*') if rest.starts_with("*/") => Script::Code,
            (state, _) => state,
        };
    }

    fn follow_style(&mut self, c: char, rest: &str) {
        let before = self.style;
        self.style = match (self.style, c) {
            (Style::Code, '"' | '\'') => Style::Text(c),
            (Style::Code, '/') if rest.starts_with("/*") => Style::Comment,
            (Style::Code, '(') if self.after_url => Style::Url,
            (Style::Text(quote), c) if c == quote => Style::Code,
            (Style::Url, ')') => Style::Code,
            (Style::Comment, '*') if rest.starts_with("*/") => Style::Code,
            (state, _) => state,
        };
        // Texts of a style may be links, too.
        match (before, self.style) {
            (Style::Code, Style::Text(_) | Style::Url) => self.url = UrlPart::Start,
            (_, Style::Text(_) | Style::Url) => self.follow_url(c),
            _ => {}
        }
        let word = rest.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("url("));
        self.after_url = word || (self.after_url && matches!(c, 'u' | 'U' | 'r' | 'R' | 'l' | 'L'));
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
        if matches!(self.place, Place::TagName) {
            self.attribute = before;
            out.push_str(if harmless { text } else { REFUSED });
            return;
        }
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
            UrlPart::Start | UrlPart::BeforeQuery => normalize_url(text),
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
            Style::Text(_) | Style::Url if self.url == UrlPart::Start && !url && !harmless_url(text) => {
                format!("#{REFUSED}")
            }
            Style::Text(_) => css_string(text),
            Style::Url => self.url_value(text, url),
            Style::Comment => String::new(),
        }
    }
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

/// Whether a slash behind this code begins a regular expression. Otherwise it divides.
fn starts_pattern(code: &str) -> bool {
    const WORDS: [&str; 14] = [
        "break",
        "case",
        "continue",
        "delete",
        "do",
        "else",
        "finally",
        "in",
        "instanceof",
        "return",
        "throw",
        "try",
        "typeof",
        "void",
    ];
    let code = code.trim_end();
    match code.chars().next_back() {
        None => true,
        // `a++ / b` divides, `a + /b/` does not.
        Some(sign @ ('+' | '-')) => code.chars().rev().take_while(|c| *c == sign).count() % 2 == 1,
        Some('.') => !code[..code.len() - 1].ends_with(|c: char| c.is_ascii_digit()),
        Some(',' | '<' | '>' | '=' | '*' | '%' | '&' | '|' | '^' | '?' | '!' | '~') => true,
        Some('(' | '[' | '{' | ':' | ';' | '}') => true,
        Some(_) => {
            let word = code.rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$')));
            let start = word.map_or(0, |at| at + code[at..].chars().next().map_or(1, char::len_utf8));
            WORDS.contains(&&code[start..])
        }
    }
}

/// A link and its size, as in `srcset`.
fn url_with_size(part: &str) -> String {
    let link = part.trim_ascii_start();
    let (link, size) = link.split_at(link.find(|c: char| c.is_ascii_whitespace()).unwrap_or(link.len()));
    let blank = &part[..part.len() - part.trim_ascii_start().len()];
    let known = size.chars().all(|c| c.is_ascii_whitespace() || c.is_ascii_alphanumeric());
    if known && harmless_url(link) {
        format!("{blank}{}{size}", normalize_url(link))
    } else {
        format!("#{REFUSED}")
    }
}

/// A link that cannot run a script: one without a scheme, or with a known one.
fn harmless_url(text: &str) -> bool {
    match text.split_once(':') {
        Some((scheme, _)) if !scheme.contains('/') => {
            ["http", "https", "mailto"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        }
        _ => true,
    }
}
