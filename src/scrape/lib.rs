//! The `scrape` room.
