//! Texts of any length in places of a fixed one, without an allocation.

use arrayvec::ArrayString;

/// The beginning of a text: as many whole letters as there is room for.
pub fn cut<const ROOM: usize>(text: &str) -> ArrayString<ROOM> {
    let end = text.floor_char_boundary(ROOM);
    let begin = text.get(..end).unwrap_or_default();
    ArrayString::from(begin).unwrap_or_default()
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
