//! Whatever is written, there is a text or an error, and soon.

use proptest::prelude::*;

use super::{expand, expand_with};
use crate::{PlainData, Trial};

/// Pieces from which nearly right templates are made.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    " ",
    "if ",
    "else ",
    "end",
    "range ",
    "with ",
    "define \"a\"",
    "template \"a\" ",
    "block \"b\" .",
    ".",
    ".n",
    ".list",
    ".labels",
    ".s",
    ".t",
    "$",
    "$x",
    " := ",
    " = ",
    "|",
    "(",
    ")",
    ",",
    "\"a\"",
    "\"%d %v %*.[2]q\"",
    "`b`",
    "'c'",
    "1",
    "-2.5",
    "0x1f",
    "nil",
    "true",
    "len ",
    "index ",
    "printf ",
    "print ",
    "eq ",
    "and ",
    "slice ",
    "humanize ",
    "query ",
    "text",
    "<a href=\"",
    "\">",
    "<script>",
    "</script>",
    "<!--",
    "-->",
    "<p style='",
    "break",
    "continue",
    "ä",
    "\n",
    "/*",
    "*/",
    ".Format ",
    "reReplaceAll ",
    "html ",
    "js ",
    "toTime ",
    "parseDuration ",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_text_panics(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..24)) {
        let text = pieces.concat();
        let _ = expand(&text);
        let _ = expand_with(&text, Trial { html: true, ..Trial::of(PlainData::text("<&\"'>")) });
    }

    #[test]
    fn no_characters_panic(text in "\\PC{0,40}", inside in "[ -~ä\\n]{0,30}") {
        let _ = expand(&text);
        let _ = expand(&format!("{{{{{inside}}}}}"));
        let _ = expand(&format!("{{{{ printf {inside:?} .n .f .s .list }}}}"));
        let _ = expand(&format!("{{{{ .t.Format {inside:?} }}}}"));
    }

    #[test]
    fn text_without_actions_is_itself(text in "[^{]*") {
        prop_assert_eq!(expand(&text).unwrap(), text);
    }

    #[test]
    fn an_escaped_value_cannot_leave_its_place(value in "\\PC{0,20}") {
        let trial = || Trial { html: true, ..Trial::of(PlainData::text(&value)) };
        let text = expand_with("{{ . }}", trial()).unwrap();
        prop_assert!(!text.contains(['<', '>', '"', '\'']), "{}", text);
        let attribute = expand_with("<p title=\"{{ . }}\">", trial()).unwrap();
        prop_assert_eq!(attribute.matches('"').count(), 2);
        let script = expand_with("<script>f({{ . }})</script>", trial()).unwrap();
        prop_assert_eq!(script.matches('<').count(), 2);
    }
}

#[test]
fn what_does_not_end_is_stopped() {
    for text in [
        "{{ range 100000 }}{{ range 100000 }}{{ end }}{{ end }}",
        "{{ define \"a\" }}{{ template \"b\" }}{{ end }}{{ define \"b\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}",
        "{{ $x := \"aaaaaaaaaaaaaaaa\" }}{{ range 100 }}{{ $x = print $x $x }}{{ end }}",
        "{{ range 1000000 }}{{ printf \"%99999d\" 1 }}{{ end }}",
    ] {
        assert!(expand(text).is_err(), "{text}");
    }
    let deep = format!("{}{}", "{{ if 1 }}".repeat(5000), "{{ end }}".repeat(5000));
    assert!(expand(&deep).unwrap_err().contains("nested deeper"));
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(expand(&deep).unwrap_err().contains("nested deeper"));
}
