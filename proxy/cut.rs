//! Texts of any length where there is room for so much, without an allocation.

use arrayvec::ArrayString;

/// The beginning of a text: as many whole letters as there is room for, in bytes.
pub fn beginning(text: &str, room: usize) -> &str {
    text.get(..text.floor_char_boundary(room)).unwrap_or(text)
}

/// The same in a place of its own.
pub fn cut<const ROOM: usize>(text: &str) -> ArrayString<ROOM> {
    ArrayString::from(beginning(text, ROOM)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_letter_is_cut_in_two() {
        let cut: ArrayString<4> = cut("aé€z");
        assert_eq!(&*cut, "aé");
        assert_eq!(&*super::cut::<4>("abcd"), "abcd");
        assert_eq!(&*super::cut::<0>("abcd"), "");
    }
}
