use super::NOW;
use crate::{PlainData, Templates, Trial};

/// A text with the functions of messages, about [`NOW`].
fn expand(text: &str) -> Result<String, String> {
    let templates = Templates::parse::<&str, &str>(&[]).unwrap();
    templates.try_text(text, &Trial::of(PlainData::time(NOW)), NOW).map_err(|error| error.to_string())
}

#[test]
fn layouts_show_a_time() {
    for (layout, wanted) in [
        ("2006-01-02 15:04:05", "2024-03-05 07:08:09"),
        ("Mon Jan _2 03:04:05 PM 2006", "Tue Mar  5 07:08:09 AM 2024"),
        ("Monday, 2 January 06 3:4:5pm", "Tuesday, 5 March 24 7:8:9am"),
        ("2006-01-02T15:04:05.000Z07:00", "2024-03-05T07:08:09.012Z"),
        ("15:04:05.999999 -0700 MST", "07:08:09.012 +0000 UTC"),
        ("05.00 002 __2", "09.01 065  65"),
        ("-07:00 -07 Z0700", "+00:00 +00 Z"),
        ("1/2", "3/5"),
        ("January's Month", "March's Month"),
        ("_2006", "_2024"),
    ] {
        assert_eq!(expand(&format!("{{{{ date {layout:?} . }}}}")).unwrap(), wanted, "{layout}");
    }
}

#[test]
fn zones_move_the_clock() {
    for (zone, wanted) in [
        ("UTC", "07:08 UTC +0000"),
        ("Europe/Berlin", "08:08 CET +0100"),
        ("America/New_York", "02:08 EST -0500"),
        ("Asia/Kolkata", "12:38 IST +0530"),
    ] {
        let text = format!("{{{{ . | tz {zone:?} | date \"15:04 MST -0700\" }}}}");
        assert_eq!(expand(&text).unwrap(), wanted, "{zone}");
    }
    assert!(
        expand("{{ tz \"Nowhere/Here\" . }}").unwrap_err().contains("there is no time zone `Nowhere/Here`")
    );
}

#[test]
fn layouts_read_a_time() {
    for (layout, text, wanted) in [
        ("2006-01-02", "2024-03-15", "2024-03-15 00:00:00 +0000 UTC"),
        ("Jan 2, 2006 3:04pm", "mar 5, 2024 7:08pm", "2024-03-05 19:08:00 +0000 UTC"),
        ("15:04:05", "07:08:09.25", "0000-01-01 07:08:09.25 +0000 UTC"),
        ("2006-01-02T15:04:05Z07:00", "2024-03-05T07:08:09+01:00", "2024-03-05 07:08:09 +0100 +01"),
        ("06 002", "70 365", "1970-12-31 00:00:00 +0000 UTC"),
        ("_2 Jan 2006", " 5 Mar 2024", "2024-03-05 00:00:00 +0000 UTC"),
    ] {
        assert_eq!(expand(&format!("{{{{ mustToDate {layout:?} {text:?} }}}}")).unwrap(), wanted, "{text}");
    }
    for (layout, text) in [
        ("2006-01-02", "x"),
        ("2006-01-02", "2024-13-01"),
        ("2006-01-02", "2024-02-30"),
        ("2006", "20244"),
        ("15", "25"),
    ] {
        assert!(expand(&format!("{{{{ mustToDate {layout:?} {text:?} }}}}")).is_err(), "{text}");
        let zero = expand(&format!("{{{{ (toDate {layout:?} {text:?}).IsZero }}}}"));
        assert_eq!(zero.unwrap(), "true");
    }
}

#[test]
fn methods_of_times_and_durations() {
    for (text, wanted) in [
        (
            "{{ .Unix }} {{ .UnixMilli }} {{ .YearDay }} {{ .Nanosecond }}",
            "1709622489 1709622489012 65 12000000",
        ),
        ("{{ (.Sub .).String }} {{ .Equal . }} {{ .After . }}", "0s true false"),
        ("{{ (.AddDate 0 1 27).Format \"2006-01-02\" }}", "2024-05-02"),
        ("{{ (since (toDate \"2006-01-02\" \"2024-03-05\")).Hours | printf \"%.2f\" }}", "7.14"),
        ("{{ since (toDate \"2006-01-02\" \"2024-03-05\") }}", "7h8m9.012s"),
        ("{{ (since (toDate \"2006-01-02\" \"2024-03-05\")).Minutes | printf \"%.0f\" }}", "428"),
        ("{{ . }}", "2024-03-05 07:08:09.012 +0000 UTC"),
        ("{{ toJson . }}", "\"2024-03-05T07:08:09.012Z\""),
    ] {
        assert_eq!(expand(text).unwrap_or_else(|e| e), wanted, "{text}");
    }
}
