//! What a value must contain for a matcher to accept it: read off its pattern, so that an index finds the matchers that
//! may accept a value without running each.
//!
//! In: a pattern in the syntax of [`regex_syntax`]. Out: a necessary condition, never a sufficient one.
//! Start at [`Needed::of_pattern`].

use regex_syntax::Parser;
use regex_syntax::hir::literal::{ExtractKind, Extractor};
use regex_syntax::hir::{Hir, HirKind};

/// A value that a matcher accepts is, begins with, or contains one of these. Texts are bytes: a prefix may end inside
/// a character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needed {
    /// It is one of these.
    Values(Vec<Vec<u8>>),
    /// It begins with one of these; none is empty.
    Prefixes(Vec<Vec<u8>>),
    /// It contains this; at least [`Needed::CONTAINED_MIN`] bytes.
    Contains(Vec<u8>),
}

impl Needed {
    /// A shorter piece says too little to be worth looking for.
    pub const CONTAINED_MIN: usize = 3;

    /// Of a pattern that matches whole values.
    pub(crate) fn of_pattern(pattern: &str) -> Option<Needed> {
        let hir = Parser::new().parse(pattern).ok()?;
        let mut prefixes = Extractor::new().kind(ExtractKind::Prefix).limit_class(10).extract(&hir);
        prefixes.dedup();
        let literals = prefixes.literals().unwrap_or_default();
        let bytes = || literals.iter().map(|literal| literal.as_bytes().to_vec()).collect();
        if !literals.is_empty() && prefixes.is_exact() {
            return Some(Needed::Values(bytes()));
        }
        let contained = longest_piece(&hir).filter(|piece| piece.len() >= Needed::CONTAINED_MIN);
        let shortest = literals.iter().map(|literal| literal.len()).min().unwrap_or(0);
        match contained {
            Some(piece) if piece.len() > shortest => Some(Needed::Contains(piece.to_vec())),
            _ if shortest > 0 => Some(Needed::Prefixes(bytes())),
            _ => None,
        }
    }

    /// Whether a value fulfils it.
    pub fn holds(&self, value: &str) -> bool {
        let value = value.as_bytes();
        match self {
            Needed::Values(values) => values.iter().any(|one| one == value),
            Needed::Prefixes(prefixes) => prefixes.iter().any(|prefix| value.starts_with(prefix)),
            Needed::Contains(piece) => value.windows(piece.len()).any(|window| window == piece),
        }
    }
}

/// The longest plain text that every match contains.
fn longest_piece(hir: &Hir) -> Option<&[u8]> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(&literal.0),
        HirKind::Capture(capture) => longest_piece(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => longest_piece(&repetition.sub),
        HirKind::Concat(parts) => parts.iter().filter_map(longest_piece).max_by_key(|piece| piece.len()),
        _ => None,
    }
}
