//! Many handles at once. Placeholder.
