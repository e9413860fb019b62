//! Numbers in texts.

/// `1 mailbox`, `2 mailboxes`.
pub fn number(count: impl TryInto<u64>, one: &str, many: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!(
        "{} {}",
        thousands(count),
        if count == 1 { one } else { many }
    )
}

/// `200 mailboxes, 190 in scope`: those that Exchange lists, and those of them that are synchronised (R3, R13, R14).
pub fn mailboxes_in_scope(read: u32, in_scope: u32) -> String {
    let read = number(read, "mailbox", "mailboxes");
    format!("{read}, {} in scope", thousands(in_scope))
}

/// `12 345`: digits in groups of three, from 10 000 on.
pub fn thousands(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    if digits.len() <= 4 {
        return digits;
    }
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!(thousands(1234), "1234");
        assert_eq!(thousands(12345), "12 345");
        assert_eq!(thousands(1_234_567), "1 234 567");
        assert_eq!(number(1_u32, "mailbox", "mailboxes"), "1 mailbox");
        assert_eq!(
            number(12_345_u32, "mailbox", "mailboxes"),
            "12 345 mailboxes"
        );
    }
}
