//! The query that finds a group's issue.

use foghorn_plugin::notifier::*;

/// The label by which a group's issue is found again.
pub(crate) fn label(notification: &Notification) -> String {
    format!("ALERT{{{}}}", notification.dedup_key)
}

pub(crate) fn of(notification: &Notification) -> Result<String> {
    let mut jql = String::new();
    let left_alone = text("wont_fix_resolution")?;
    if !left_alone.is_empty() {
        jql += &format!("(resolution is EMPTY or resolution != {}) and ", quoted(&left_alone));
    }
    let minutes = minutes(&text("reopen_duration")?);
    let reopens = notification.status == Status::Firing && !text("reopen_transition")?.is_empty();
    match minutes.filter(|minutes| reopens && *minutes > 0) {
        Some(minutes) => {
            jql += &format!("(resolutiondate is EMPTY OR resolutiondate >= -{minutes}m) and ");
        }
        None => jql += "statusCategory != Done and ",
    }
    let (project, label) = (quoted(&text("project")?), quoted(&label(notification)));
    jql += &format!("project={project} and labels={label} order by status ASC,resolutiondate DESC");
    Ok(jql)
}

/// A text between quotation marks: what stands in it cannot end it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            c if c.is_control() => out += &format!("\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out + "\""
}

/// The whole minutes of a duration such as `1d12h`.
fn minutes(duration: &str) -> Option<u64> {
    let mut seconds = 0.0;
    let mut rest = duration;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            "y" => 31_536_000.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = behind;
    }
    Some((seconds / 60.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    #[test]
    fn closed_issues_are_found_for_a_while() {
        let end = r#"project="OPS" and labels="ALERT{k1}" order by status ASC,resolutiondate DESC"#;
        for (status, transition, duration, expected) in [
            (Status::Firing, "Reopen", "1h30m", "(resolutiondate is EMPTY OR resolutiondate >= -90m) and "),
            (Status::Firing, "Reopen", "30s", "statusCategory != Done and "),
            (Status::Firing, "Reopen", "", "statusCategory != Done and "),
            (Status::Firing, "", "1h", "statusCategory != Done and "),
            (Status::Resolved, "Reopen", "1h", "statusCategory != Done and "),
        ] {
            let host = FakeHost::new()
                .param("project", "OPS")
                .param("reopen_transition", transition)
                .param("reopen_duration", duration);
            let group = Notification { status, dedup_key: "k1".into(), ..Notification::default() };
            assert_eq!(host.run(|| of(&group)), Ok(format!("{expected}{end}")), "{status:?} {duration}");
        }
    }

    #[test]
    fn what_is_left_alone_is_not_found() {
        let host = FakeHost::new().param("project", "a\tb").param("wont_fix_resolution", "Won't \"Do\" \\");
        let jql = host.run(|| of(&Notification::default())).expect("a query");
        let begins = r#"(resolution is EMPTY or resolution != "Won't \"Do\" \\") and statusCategory != Done and project="a\tb" and "#;
        assert!(jql.starts_with(begins), "{jql}");
    }

    #[test]
    fn durations_in_minutes() {
        for (text, expected) in [
            ("90m", Some(90)),
            ("1d12h", Some(2160)),
            ("2w", Some(20_160)),
            ("1y", Some(525_600)),
            ("59s999ms", Some(0)),
            ("", Some(0)),
            ("5", None),
            ("m", None),
            ("1x", None),
        ] {
            assert_eq!(minutes(text), expected, "{text}");
        }
    }
}
