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

/// The letters of salts and hashes, each for six bits.
const LETTERS: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Where the last letter of the salt stands, of which only the two upper bits belong to it.
const SALT_END: usize = 28;

/// Whether `text` is a hash, and the hash as it is compared: some programs leave bits in a salt that belong to nothing.
pub(super) fn check(text: &str) -> Result<String, Wrong> {
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
    let place = |byte: u8| LETTERS.iter().position(|letter| *letter == byte);
    let known = ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| text.starts_with(prefix));
    let is_hash = known && bytes.len() == LENGTH && bytes[6] == b'$';
    match place(bytes[SALT_END]).filter(|_| is_hash && bytes[7..].iter().all(|byte| place(*byte).is_some())) {
        Some(end) => {
            let end = char::from(LETTERS[end & 0b11_0000]);
            Ok(format!("{}{end}{}", &text[..SALT_END], &text[SALT_END + 1..]))
        }
        None => Err(Wrong::NeverMatches),
    }
}
