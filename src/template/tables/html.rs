use super::expand_with;
use crate::{PlainData, Trial};

fn page(cases: &[(&str, &str, &str)]) {
    for (text, value, wanted) in cases {
        let trial = Trial { html: true, ..Trial::of(PlainData::text(value)) };
        assert_eq!(expand_with(text, trial).unwrap_or_else(|e| e), *wanted, "{text} with {value}");
    }
}

#[test]
fn values_are_escaped_for_their_place() {
    page(&[
        ("<b>{{ . }}</b>", "<i>&'\"+", "<b>&lt;i&gt;&amp;&#39;&#34;&#43;</b>"),
        ("<p title=\"{{ . }}\">", "a\" onclick=\"x", "<p title=\"a&#34; onclick=&#34;x\">"),
        ("<p title={{ . }} x>", "a b=c", "<p title=a&#32;b&#61;c x>"),
        ("<a href=\"{{ . }}\">", "https://x.y/a b?c=d&e", "<a href=\"https://x.y/a%20b?c=d&amp;e\">"),
        ("<a href=\"{{ . }}\">", "javascript:alert(1)", "<a href=\"#ZgotmplZ\">"),
        ("<a href=\"/x?q={{ . }}\">", "a&b=c d", "<a href=\"/x?q=a%26b%3dc%20d\">"),
        ("<a href=\"/x/{{ . }}\">", "a&b/c d", "<a href=\"/x/a&amp;b/c%20d\">"),
        ("<a href='#{{ . }}'>", "a'b", "<a href='#a%27b'>"),
        (
            "<script>var x = {{ . }};</script>",
            "</script>\"",
            "<script>var x = \"\\u003c/script\\u003e\\\"\";</script>",
        ),
        ("<script>var x = '{{ . }}';</script>", "a'b</", "<script>var x = 'a\\u0027b\\u003c\\/';</script>"),
        ("<script>// {{ . }}\nf({{ . }})</script>", "x", "<script>\nf(\"x\")</script>"),
        ("<script>a/* x {{ . }} */b</script>", "x", "<script>a  b</script>"),
        ("<style>a/**/b{}/* x\n */ c{ top: {{ . }} }</style>", "1px", "<style>a b{}  c{ top: 1px }</style>"),
        (
            "<script>x = /a{{ . }}/; y = a / {{ . }} / 2</script>",
            "(.)",
            "<script>x = /a\\(\\.\\)/; y = a / \"(.)\" / 2</script>",
        ),
        (
            "<script>x = \"<!-- </script> {{ . }}\"</script>",
            "y",
            "<script>x = \"\\x3C!-- \\x3C/script> y\"</script>",
        ),
        ("<a href=\"&#106;{{ . }}&lt;\">", "a:b", "<a href=\"&#106;a:b&lt;\">"),
        ("<a href=\"{{ . }}{{ . }}\">", "x:", "<a href=\"#ZgotmplZ#ZgotmplZ\">"),
        ("<style>p { font: '{{ . }}' }</style>", "a\\b", "<style>p { font: 'a\\\\b' }</style>"),
        ("<textarea>{{ safeHtml . }}</textarea>", "<&amp;", "<textarea>&lt;&amp;</textarea>"),
        (
            "{{ (html .) }}|{{ html . }}|{{ . | html }}|{{ html . . }}",
            "<+",
            "&amp;lt;&#43;|&lt;+|&lt;+|&lt;+&lt;+",
        ),
        (
            "<p title=\"{{ . | html }}\"><script>f({{ . | html }})</script>",
            "<+",
            "<p title=\"&lt;+\"><script>f(\"\\u0026lt;+\")</script>",
        ),
        ("<b {{ . }}>", "onclick", "<b ZgotmplZ>"),
        ("<b{{ . }}>", "onclick", "<bZgotmplZ>"),
        ("<p onclick=\"f({{ . }})\">", "a'b", "<p onclick=\"f(&#34;a&#39;b&#34;)\">"),
        ("<p style=\"color: {{ . }}\">", "red", "<p style=\"color: red\">"),
        ("<p style=\"color: {{ . }}\">", "expression(1)", "<p style=\"color: ZgotmplZ\">"),
        ("<style>p { font: '{{ . }}' }</style>", "a'b", "<style>p { font: 'a\\27 b' }</style>"),
        ("<textarea>{{ . }}</textarea><b>{{ . }}</b>", "<", "<textarea>&lt;</textarea><b>&lt;</b>"),
        ("<p {{ . }}=\"1\">", "title", "<p title=\"1\">"),
        ("<p {{ . }}=\"1\">", "onclick", "<p ZgotmplZ=\"1\">"),
        ("a<!-- {{ . }} -->b{{ . }}", "x", "abx"),
        ("<!doctype html>1 < 2 {{ . }}", "x", "<!doctype html>1 &lt; 2 x"),
        ("<img src=\"{{ . }}\" alt=\"{{ . }}\">", "/a b", "<img src=\"/a%20b\" alt=\"/a b\">"),
        ("{{ html . }}|{{ . | safeHtml }}", "<b>", "&lt;b&gt;|<b>"),
        ("<a href=\"/?q={{ . | urlquery }}\">", "a b", "<a href=\"/?q=a&#43;b\">"),
        ("<a href=\"{{ . | html }}\">", "/?a&b", "<a href=\"/?a&amp;b\">"),
        ("<p style=\"background: url('{{ . }}')\">", "/a b", "<p style=\"background: url('/a%20b')\">"),
        (
            "<p style=\"background: url({{ . }})\">",
            "javascript:x",
            "<p style=\"background: url(#ZgotmplZ)\">",
        ),
        ("<img srcset=\"{{ . }}\">", "/a 1x, javascript:b 2x", "<img srcset=\"/a 1x,#ZgotmplZ\">"),
        (
            "<script type=\"text/template\">{{ . }}</script>",
            "<b>",
            "<script type=\"text/template\">&lt;b&gt;</script>",
        ),
        ("<textarea><b title=\"{{ . }}</textarea>", "<", "<textarea>&lt;b title=\"&lt;</textarea>"),
        ("<script>a\n--> {{ . }}\n<!-- b\n{{ . }}</script>", "x", "<script>a\n\n\n\"x\"</script>"),
        ("<p onclick=\"a = '{{ . }}<script>'\">", "x", "<p onclick=\"a = 'x\\x3Cscript>'\">"),
        ("<p onclick=\"/*'*/ f({{ . }}) // '{{ . }}\">", "x", "<p onclick=\"/*'*/ f(&#34;x&#34;) // '\">"),
        ("<script>a = `b${ {c: {{ . }}} }{{ . }}`</script>", "x", "<script>a = `b${ {c: \"x\"} }x`</script>"),
        ("<script>a = /</script>{{ . }}/</script>", "(", "<script>a = /\\x3C/script>\\(/</script>"),
        ("<style>a // {{ . }}\nb</style>", "x", "<style>a \nb</style>"),
        ("<p onclick=\"f('\\'{{ . }}')\">", "a'b", "<p onclick=\"f('\\'a\\u0027b')\">"),
        ("<style>p { a: url( \"{{ . }}\") }</style>", "/a b", "<style>p { a: url( \"/a%20b\") }</style>"),
        ("<style>p { font: 'x?{{ . }}' }</style>", "a&b", "<style>p { font: 'x?a%26b' }</style>"),
        ("<textarea>a</textareas>{{ . }}</textarea>", "x", "<textarea>a&lt;/textareas>x</textarea>"),
        ("<p title=\"{{ safeHtml . }}\">", "<b>x</b> &amp; \"y\"", "<p title=\"x &amp; &#34;y&#34;\">"),
    ]);
}

#[test]
fn the_place_survives_branches_and_templates() {
    page(&[
        ("<a href=\"{{ if . }}/{{ else }}/x/{{ end }}{{ . }}\">{{ . }}", "a b", "<a href=\"/a%20b\">a b"),
        ("<a {{ if . }}href=\"/\"{{ else }}title{{ end }}>{{ . }}", "a", "<a href=\"/\">a"),
        ("<p {{ if not . }}{{ . }}{{ end }}>", "a", "<p >"),
        ("{{ range 2 }}<p>{{ if . }}{{ break }}{{ end }}{{ else }}none{{ end }}</p>", "a", "<p><p></p>"),
        (
            "{{ define \"v\" }}{{ if eq . \"x\" }}{{ template \"v\" \"y\" }}{{ end }}<b>{{ . }}</b>{{ end }}{{ template \"v\" . }}",
            "x",
            "<b>y</b><b>x</b>",
        ),
        (
            "{{ define \"v\" }}{{ . }}{{ end }}<a href=\"{{ template \"v\" . }}\">{{ template \"v\" . }}",
            "<",
            "<a href=\"%3c\">&lt;",
        ),
        ("{{ range 2 }}<p>{{ $ }}</p>{{ end }}", "&", "<p>&amp;</p><p>&amp;</p>"),
        ("{{ define \"v\" }}<b>{{ . }}</b>{{ end }}{{ tmpl \"v\" . }}", "<", "<b>&lt;</b>"),
    ]);
}

#[test]
fn nothing_is_empty() {
    let trial = Trial { html: true, ..Trial::of(PlainData::nothing()) };
    assert_eq!(expand_with("[{{ .x }}]", trial).unwrap(), "[]");
}

#[test]
fn pages_that_are_wrong() {
    for (text, part) in [
        ("<p title=\"{{ . }}", "ends inside of the value of an attribute"),
        ("<p {{ . }}", "ends inside of an attribute"),
        ("<script>f({{ . }})", "a script, whose end tag is missing"),
        (
            "<a {{ if . }}href=\"/{{ else }}title=\"{{ end }}{{ . }}\">",
            "this `if` end in different places of the page: a link in an attribute and the value of an attribute",
        ),
        ("{{ with . }}<p title={{ else }}<p>{{ end }}", "this `with` end in different places"),
        ("{{ range 1 }}<p title=\"{{ end }}\">", "this `range` end in different places"),
        (
            "{{ range 1 }}<b>{{ if . }}<i{{ continue }}{{ end }}{{ end }}",
            "this `range` end in different places",
        ),
        ("<a href=\"/{{ if . }}?a={{ end }}{{ . }}\">", "whether this value stands in the query of the link"),
        ("<script>x {{ if . }}= 1{{ else }}={{ end }} /a/</script>", "a slash that divides or begins"),
        ("<script>x = '\\{{ . }}'</script>", "a backslash at the end"),
        ("<p onclick=\"f('\\{{ . }}')\">", "a backslash at the end"),
        ("<script>x = /[a{{ . }}]/</script>", "a class of a regular expression"),
        ("<p title=a\"b>", "in the value of an attribute without quotes"),
        ("<p =a>", "without the name of an attribute"),
        ("<p a'b>", "where the name of an attribute could stand"),
        ("{{ if not . }}{{ template \"no\" }}{{ end }}", "there is no template `no`"),
        ("{{ if not . }}{{ . | html | len }}{{ end }}", "`html` must not stand here"),
        (
            "{{ define \"v\" }}{{ if . }}{{ template \"v\" }}{{ else }}<p title=\"{{ end }}{{ end }}{{ template \"v\" }}\">",
            "in different places",
        ),
        ("a<!-- {{ . }}", "ends inside of a comment"),
        ("{{ . | html | len }}", "`html` must not stand here"),
        ("<p title={{ . | html }}>", "`html` must not stand here"),
    ] {
        let trial = Trial { html: true, ..Trial::of(PlainData::text("x")) };
        let error = expand_with(text, trial).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}
