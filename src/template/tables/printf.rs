use super::table;

#[test]
fn verbs() {
    table(&[
        ("{{ printf \"%v %s %q\" .s .s .s }}", "a \"b\" <c> a \"b\" <c> \"a \\\"b\\\" <c>\""),
        (
            "{{ printf \"%d|%5d|%-5d|%05d|%+d|% d|%x|%X|%#x|%o|%b|%c|%U|%q\" 42 42 42 42 42 42 42 42 42 42 42 42 42 42 }}",
            "42|   42|42   |00042|+42| 42|2a|2A|0x2a|52|101010|*|U+002A|'*'",
        ),
        (
            "{{ printf \"%f|%.2f|%8.2f|%-8.2f|%08.2f|%e|%.1E|%g|%.3g|%G\" .f .f .f .f .f .f .f .f .f .f }}",
            "2.500000|2.50|    2.50|2.50    |00002.50|2.500000e+00|2.5E+00|2.5|2.5|2.5",
        ),
        ("{{ printf \"%.0f %.0f %.1f\" 0.5 1.5 0.25 }}", "0 2 0.2"),
        (
            "{{ printf \"%g %g %g %.4g %.4g\" 100000.0 1000000.0 0.00001 12345.678 0.00012345 }}",
            "100000 1e+06 1e-05 1.235e+04 0.0001234",
        ),
        ("{{ printf \"%t %v\" true false }}", "true false"),
        (
            "{{ printf \"%T %T %T %T %T %T %T\" 1 1.5 \"a\" true .list .labels .t }}",
            "int float64 string bool []string map[string]string time.Time",
        ),
        (
            "{{ printf \"%5s|%-5s|%.2s|%5.1s|%x|% X\" \"abc\" \"abc\" \"abc\" \"abc\" \"abc\" \"abc\" }}",
            "  abc|abc  |ab|    a|616263|61 62 63",
        ),
        (
            "{{ printf \"%v %q %d\" .list .list .labels }}",
            "[x y z] [\"x\" \"y\" \"z\"] map[%!d(string=a):%!d(string=1) %!d(string=b):%!d(string=2)]",
        ),
        ("{{ printf \"%+v\" .labels }}", "map[a:1 b:2]"),
        ("{{ printf \"%*d|%-*d|%.*f\" 5 1 4 2 1 2.55 }}", "    1|2   |2.5"),
        ("{{ printf \"%[2]d %[1]d\" 1 2 }}", "2 1"),
        ("{{ printf \"%d%%\" 5 }}", "5%"),
        ("{{ printf \"%v %v\" (toTime 0) (toDuration 90) }}", "1970-01-01 00:00:00 +0000 UTC 1m30s"),
        ("{{ printf \"%d\" (toDuration 1) }}", "1000000000"),
        ("{{ printf \"%6.3v|%v\" 3.14159 nil }}", "  3.14|<nil>"),
        ("{{ printf \"%v %5.1f %+.2e\" (printf \"%v\" 1e21) -0.05 12345.678 }}", "1e+21  -0.1 +1.23e+04"),
        ("{{ printf \"%#v %#q\" \"a\" \"a\" }}", "\"a\" `a`"),
        ("{{ printf \"%q\" \"a\\tb\\u200b\\x00\" }}", "\"a\\tb\\u200b\\x00\""),
    ]);
}

#[test]
fn mistakes_are_said_in_the_text() {
    table(&[
        ("{{ printf \"%d\" \"x\" }}", "%!d(string=x)"),
        ("{{ printf \"%s\" 5 }}", "%!s(int=5)"),
        ("{{ printf \"%d\" 1.5 }}", "%!d(float64=1.5)"),
        ("{{ printf \"%d %d\" 1 }}", "1 %!d(MISSING)"),
        ("{{ printf \"%d\" 1 2 \"x\" }}", "1%!(EXTRA int=2, string=x)"),
        ("{{ printf \"100%\" }}", "100%!(NOVERB)"),
        ("{{ printf \"%z\" 1 }}", "%!z(int=1)"),
        ("{{ printf \"%s\" nil }}", "%!s(<nil>)"),
        ("{{ printf \"%[5]d\" 1 }}", "%!d(BADINDEX)"),
        ("{{ printf \"%t\" 1 }}", "%!t(int=1)"),
        ("{{ printf \"%.2f\" \"1.5\" }}", "%!f(string=1.5)"),
        ("{{ printf \"%999999999d\" 1 }}", "%!(BADWIDTH)1"),
        ("{{ printf 1 }}", "!expected string, got int"),
    ]);
}
