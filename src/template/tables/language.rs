use super::table;

#[test]
fn text_and_trimming() {
    table(&[
        ("", ""),
        ("plain } text {", "plain } text {"),
        ("a{{/* note */}}b", "ab"),
        ("a {{- /* note */ -}} b", "ab"),
        ("a \n {{- 1 -}} \t b", "a1b"),
        ("a {{- 1}} b", "a1 b"),
        ("{{1 -}}\n\n{{- 2}}", "12"),
        ("{{-1}}", "-1"),
        ("{{- -1 -}}", "-1"),
        ("{{\"{{\"}}", "{{"),
        ("{{`a\\n`}}", "a\\n"),
        ("{{\"a\\n\\u00e9\\x41\\101\"}}", "a\né\u{41}A"),
        ("{{'x'}} {{'\\n'}}", "120 10"),
        ("{{1}}\n{{\n 2 \n}}", "1\n2"),
    ]);
}

#[test]
fn texts_that_are_wrong_say_where() {
    table(&[
        ("{{", "!text:1:1: the action is not closed"),
        ("a\nbc{{ .x", "!text:2:3: the action is not closed"),
        ("{{/* a", "!the comment does not end"),
        ("{{/* a */ b}}", "!a comment must fill its `{{ }}` alone"),
        ("{{ \u{a0} }}", "!text:1:4: the character U+00A0 has no meaning"),
        ("{{ (1 }}", "!a `(` is not closed"),
        ("{{ 1) }}", "!a `)` without a `(`"),
        ("{{ \"a }}", "!a text between quotes does not end"),
        ("{{ .labels * 100 }}", "!`*` has no meaning"),
        ("{{ $x }}", "!undefined variable `$x`"),
        ("{{ humanise 1 }}", "!there is no function `humanise`; did you mean `humanize`?"),
        ("{{ if 1 }}a", "!`{{if}}` has no `{{end}}`"),
        ("{{ end }}", "!`{{end}}` without anything to end"),
        ("{{ else }}", "!`{{else}}` without `{{if}}`"),
        ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "!`{{if}}` has two `{{else}}`"),
        ("{{ if }}{{ end }}", "!nothing where if needs a value"),
        ("{{ break }}", "!`{{break}}` outside of `{{range}}`"),
        ("{{ 1 | 2 }}", "!stage 2 of the pipeline, `2`, is not a function"),
        ("{{ | len }}", "!unexpected"),
        ("{{ define \"x\" }}", "!the definition of `x` has no `{{end}}`"),
        ("{{ define \"x\" }}1{{ end }}{{ define \"x\" }}2{{ end }}", "!`x` is defined twice"),
        ("{{ if 1 }}{{ define \"x\" }}{{ end }}{{ end }}", "!`{{define}}` stands outside"),
        ("{{ template x }}", "!where the name of the template stands"),
        ("{{ 1.2.3 }}", "!`1.2.3` is not a number"),
        ("{{ 12k }}", "!`12k` is not a number"),
        ("{{ \"a\".b }}", "!has no fields"),
        ("{{ nil }}", "!nothing can be done with `nil` alone"),
        ("{{ print \"\\q\" }}", "!unknown escape"),
    ]);
}

#[test]
fn numbers() {
    table(&[
        ("{{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 017 }}", "1000 31 5 15 15"),
        ("{{ 1.50 }} {{ 1e3 }} {{ .5 }} {{ +1 }} {{ -2.5e-3 }}", "1.5 1000 0.5 1 -0.0025"),
        ("{{ 18446744073709551615 }}", "!too large for an int"),
        ("{{ 0x_1F }} {{ 1e1_0 }} {{ 1_000.5 }} {{ 1 | }}", "31 1e+10 1000.5 1"),
        ("{{ 1__0 }}", "!`1__0` is not a number"),
        ("{{ 1_ }}", "!`1_` is not a number"),
        ("{{ range 'b' }}{{ break }}{{ end }}{{ range index \"\\x03\" 0 }}{{ . }}{{ end }}", "012"),
        ("{{ 1e6 }} {{ 123456789.0 }} {{ 0.0001 }} {{ 0.00001 }}", "1e+06 1.23456789e+08 0.0001 1e-05"),
    ]);
}

#[test]
fn branches_and_loops() {
    table(&[
        ("{{ if .n }}a{{ else }}b{{ end }}", "a"),
        ("{{ if .empty }}a{{ else if .none }}b{{ else if .f }}c{{ else }}d{{ end }}", "c"),
        ("{{ with .s }}{{ len . }}{{ else }}none{{ end }}", "9"),
        ("{{ with .empty }}a{{ else with .n }}{{ . }}{{ else }}c{{ end }}", "3"),
        ("{{ with $x := .n }}{{ $x }}{{ $.f }}{{ end }}", "32.5"),
        ("{{ range .list }}[{{ . }}]{{ end }}", "[x][y][z]"),
        ("{{ range $i, $e := .list }}{{ $i }}{{ $e }} {{ end }}", "0x 1y 2z "),
        ("{{ range $e := .list }}{{ $e }}{{ end }}", "xyz"),
        ("{{ range $k, $v := .labels }}{{ $k }}={{ $v }};{{ end }}", "a=1;b=2;"),
        ("{{ range .none }}a{{ else }}nothing{{ end }}", "nothing"),
        ("{{ range 3 }}{{ . }}{{ end }}", "012"),
        ("{{ range $i := .n }}{{ $i }}{{ end }}", "012"),
        ("{{ range .list }}{{ if eq . \"y\" }}{{ continue }}{{ end }}{{ . }}{{ end }}", "xz"),
        ("{{ range .list }}{{ if eq . \"y\" }}{{ break }}{{ end }}{{ . }}{{ end }}", "x"),
        ("{{ $x := 1 }}{{ range .list }}{{ $x = . }}{{ end }}{{ $x }}", "z"),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21"),
        ("{{ range .f }}{{ end }}", "!`range` cannot go over a float64"),
        ("{{ range .missing }}a{{ else }}b{{ end }}", "b"),
    ]);
}

#[test]
fn templates() {
    table(&[
        (
            "{{ define \"t\" }}<{{ . }}>{{ end }}{{ template \"t\" .n }}{{ template \"t\" }}",
            "<3><<no value>>",
        ),
        ("{{ block \"b\" .n }}{{ . }}{{ end }}", "3"),
        (
            "{{ define \"a\" }}{{ template \"b\" . }}{{ end }}{{ define \"b\" }}{{ $ }}{{ end }}{{ template \"a\" .f }}",
            "2.5",
        ),
        ("{{ define \"t\" }} {{ end }}{{ define \"t\" }}x{{ end }}{{ template \"t\" }}", "x"),
        ("{{ template \"gone\" . }}", "!there is no template `gone`"),
        ("{{ define \"t\" }}{{ template \"t\" . }}{{ end }}{{ template \"t\" . }}", "!does `t` use itself?"),
        ("{{ tmpl \"x\" . }}{{ define \"x\" }}{{ .n }}{{ end }}", "3"),
    ]);
}

#[test]
fn fields_methods_and_missing_things() {
    table(&[
        ("{{ .labels.a }}{{ .labels.gone }}|{{ .gone }}", "1|<no value>"),
        ("{{ (index (args nil) \"arg0\").x }}|", "<no value>|"),
        ("{{ $y := $y }}", "!the variable has no value here"),
        ("{{ define \"t\" }}{{ $u = 1 }}{{ end }}{{ if false }}{{ $v = 1 }}{{ end }}fine", "fine"),
        ("{{ $v = 1 }}", "!undefined variable `$v`"),
        ("{{ .t.Location }} {{ .t.IsDST }} {{ printf \"%T\" .t.Location }}", "UTC false *time.Location"),
        (
            "{{ .t.GoString }}|{{ .t.AddDate 1e0 0 0 }}",
            "time.Date(2024, time.March, 5, 7, 8, 9, 12000000, time.UTC)|2025-03-05 07:08:09.012 +0000 UTC",
        ),
        ("{{ .t.Add 1.5 }}", "!expected time.Duration, got float64"),
        ("{{ .t.Add .n }}", "!expected time.Duration, got int"),
        ("{{ range .t.Month }}{{ . }} {{ end }}", "%!Month(0) January February "),
        ("{{ .n.x }}", "!`.n.x`: an int has no field or method `x`"),
        ("{{ .gone.x }}", "!nothing has no field `x`"),
        ("{{ (index .labels \"a\") }}", "1"),
        (
            "{{ .t.Year }} {{ .t.Month }} {{ .t.Weekday }} {{ printf \"%d\" .t.Month }}",
            "2024 March Tuesday 3",
        ),
        ("{{ .t.Format \"15:04\" }} {{ (.t.AddDate 0 0 1).Day }}", "07:08 6"),
        ("{{ \"15:04\" | .t.Format }}", "07:08"),
        ("{{ .t.Format }}", "!`Format` takes 1 arguments, not 0"),
        ("{{ .t.Format 1 }}", "!expected string, got int"),
        ("{{ .labels.a 1 }}", "!`a` takes no arguments"),
        ("{{ .n 1 }}", "!takes no arguments"),
        ("{{ 1 | .n }}", "!takes no arguments"),
        ("{{ . 1 }}", "!it takes no arguments: it is not a function"),
        ("{{ .list }} {{ .labels }} {{ .none }}", "[x y z] map[a:1 b:2] []"),
    ]);
}

#[test]
fn builtins() {
    table(&[
        ("{{ and 1 0 2 }}{{ and 1 2 }}{{ or 0 \"\" 3 }}{{ or 0 \"\" }}", "023"),
        ("{{ and false (index .list 9) }}", "false"),
        ("{{ or 1 (index .list 9) }}", "1"),
        ("{{ not 0 }}{{ not .list }}", "truefalse"),
        ("{{ eq 1 2 1 }} {{ eq \"a\" \"b\" }} {{ ne 1 2 }} {{ eq 1.5 1.5 }}", "true false true true"),
        ("{{ lt 1 2 }}{{ le 2 2 }}{{ gt \"b\" \"a\" }}{{ ge 1.5 2.0 }}", "truetruetruefalse"),
        ("{{ eq .n 3.0 }}", "!an int and a float64 cannot be compared; write the number with a point"),
        ("{{ gt .f 2 }}", "!write the number with a point, such as `80.0`"),
        ("{{ eq 1 \"1\" }}", "!an int and a string cannot be compared"),
        ("{{ eq .list .list }}", "!a []string cannot be compared"),
        ("{{ eq .t .t }} {{ ne .t (toTime 0) }}", "true true"),
        ("{{ eq .t (query \"x\") }}", "!cannot be compared"),
        ("{{ index nil }}", "!nothing cannot be indexed"),
        ("{{ urlquery nil \"x\" }}", "%3Cno+value%3Ex"),
        ("{{ toUpper (safeHtml \"a\") }}", "!expected string, got template.HTML"),
        ("{{ index .labels (safeHtml \"a\") }}", "!indexed by a string, not by a template.HTML"),
        ("{{ eq .gone nil }}", "true"),
        ("{{ len .list }}{{ len .labels }}{{ len \"äb\" }}", "323"),
        ("{{ len 3 }}", "!an int has no length"),
        ("{{ index .list 1 }} {{ index .labels \"b\" }} {{ index .labels \"z\" }}|", "y 2 |"),
        ("{{ index .list 3 }}", "!index 3 is out of range, there are 3"),
        ("{{ index .list -1 }}", "!index -1 is out of range"),
        ("{{ slice .list 1 }} {{ slice .list 0 1 }} {{ slice \"hello\" 1 3 }}", "[y z] [x] el"),
        ("{{ slice .list 2 1 }}", "!the slice would start at 2 and end at 1"),
        ("{{ print 1 2 \"a\" \"b\" 3 4 }}|{{ println 1 \"a\" }}", "1 2ab3 4|1 a\n"),
        (
            "{{ html .s }} {{ js .s }} {{ urlquery .s }}",
            "a &#34;b&#34; &lt;c&gt; a \\\"b\\\" \\u003Cc\\u003E a+%22b%22+%3Cc%3E",
        ),
        ("{{ call .n }}", "!an int is not a function"),
        ("{{ len }}", "!`len` takes 1 arguments, not 0"),
        ("{{ eq 1 }}", "!`eq` compares at least two values"),
        ("{{ .list | len | printf \"%03d\" }}", "003"),
        ("{{ printf \"%s-%v\" .s (len .list) | toUpper }}", "A \"B\" <C>-3"),
    ]);
}
