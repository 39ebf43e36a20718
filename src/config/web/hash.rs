//! The form of bcrypt hashes: `$2y$COST$`, 22 characters of salt and 31 of hash.

/// What is wrong with a hash.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is none.
    NoHash(&'static str),
    /// It looks like one at first, as programs that look no further take it; no password matches it.
    NeverMatches,
}

/// The shortest text that is taken for a hash: one without the letter behind the version.
const LENGTH_MIN: usize = 59;
const LENGTH: usize = 60;

/// Whether `text` is a hash.
pub(super) fn check(text: &str) -> Result<(), Wrong> {
    let bytes = text.as_bytes();
    if bytes.len() < LENGTH_MIN {
        return Err(Wrong::NoHash("it is too short"));
    }
    if bytes[0] != b'$' || bytes[1] > b'2' {
        return Err(Wrong::NoHash("it does not begin with `$2y$`"));
    }
    let cost = if bytes[2] == b'$' { &bytes[3..5] } else { &bytes[4..6] };
    let cost = std::str::from_utf8(cost).ok().and_then(|cost| cost.parse::<u8>().ok());
    if !cost.is_some_and(|cost| (4..=31).contains(&cost)) {
        return Err(Wrong::NoHash("its cost is not between 04 and 31"));
    }
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"./".contains(byte);
    let known = ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| text.starts_with(prefix));
    match known && bytes.len() == LENGTH && bytes[6] == b'$' && bytes[7..].iter().all(is_letter) {
        true => Ok(()),
        false => Err(Wrong::NeverMatches),
    }
}
