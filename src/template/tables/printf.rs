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
        (
            "{{ printf \"%#v %#v %#v %#v\" .list .labels (args 1 nil) .none }}",
            "[]string{\"x\", \"y\", \"z\"} map[string]string{\"a\":\"1\", \"b\":\"2\"} map[string]interface {}{\"arg0\":1, \"arg1\":interface {}(nil)} []interface {}{}",
        ),
        (
            "{{ printf \"%#v %#v %d\" 1.0 .t .t }}",
            "1 time.Date(2024, time.March, 5, 7, 8, 9, 12000000, time.UTC) {12000000 63845219289 0}",
        ),
        ("{{ printf \"%+v|% v|%+q|%#U|%+.1e\" 1 2 \"é\" 65 1e3 }}", "1| 2|\"\\u00e9\"|U+0041 'A'|+1.0e+03"),
        (
            "{{ printf \"%x %X %.1x %b %#x\" 1.5 -2.5 1.9999 1.0 0.0 }}",
            "0x1.8p+00 -0X1.4P+01 0x1.0p+01 4503599627370496p-52 0x0.0000p+00",
        ),
        (
            "{{ printf \"%#g %#.3g %#.0f %#e %#g\" 1.0 100.0 2.0 3.0 0.0 }}",
            "1.00000 100. 2. 3.000000e+00 0.00000",
        ),
        ("{{ printf \"%05c|%05q|%05s|%#o|%#O|%.0d|\" 65 65 \"a\" 8 8 0 }}", "0000A|00'A'|0000a|010|0o010||"),
        ("{{ printf \"%T|%.3T|%8T|\" nil 1.5 true }}", "<nil>|flo|    bool|"),
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
        ("{{ printf \"%.2f\" \"1.5\" }}", "%!f(string=1.)"),
        ("{{ printf \"%999999999d|\" 1 }}", "%!(NOVERB)%!(EXTRA int=1)"),
        ("{{ printf \"%1000001d\" 1 | len }} {{ printf \"%*d\" 1000001 1 }}", "1000001 %!(BADWIDTH)1"),
        ("{{ printf \"%.70000f\" 1.5 | len }}", "70002"),
        // Flags and sizes hold for what is said about a mistake, too, but a type's own text does not.
        (
            "{{ printf \"%-6d|%.2d|%+d|%05d\" \"x\" \"abc\" 1.0 true }}",
            "%!d(string=x     )|%!d(string=ab)|%!d(float64=+1)|%!d(bool=0true)",
        ),
        ("{{ printf \"%t %p\" (toDuration 1) .t.Month }}", "%!t(time.Duration=1000000000) %!p(time.Month=3)"),
        ("{{ printf \"%w|%+w\" 1 (args 1) }}", "%!w(int=1)|%!w(map[string]interface {}=map[arg0:1])"),
        ("{{ printf \"%[x]d|%[2]3d|%[1\" 1 2 }}", "%!d(BADINDEX)|%!d(BADINDEX)|%!(NOVERB)"),
        ("{{ printf 1 }}", "!expected string, got int"),
    ]);
}
