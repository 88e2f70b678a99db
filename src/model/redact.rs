//! Takes user and password out of the addresses in a text, before anybody else reads it. Pure.
//!
//! Contract: no password of an address survives, whatever it is made of, blanks apart; rather too much of
//! an address is hidden than too little.

/// `text` with the user and password of every URL in it replaced. A password may itself hold `/ ? # @ :`, as those of
/// cameras do, so everything up to the last `@` of an address counts as its user and password.
pub fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace()).unwrap_or(after.len());
        let (address, tail) = after.split_at(end);
        match address.rsplit_once('@') {
            Some((_, open)) => {
                out.push_str("***@");
                out.push_str(open);
                rest = tail;
            }
            // Nothing to hide here; a next address may follow without a blank, as in a list.
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_are_taken_out_of_urls() {
        assert_eq!(redact("rtsp://user:p@ss@cam:554/x failed"), "rtsp://***@cam:554/x failed");
        assert_eq!(redact("rtsp://admin:pa/ss?1#2@cam/1"), "rtsp://***@cam/1");
        assert_eq!(
            redact("'rtsp://a:b@cam/1' and \"rtsp://c:d@cam/2\""),
            "'rtsp://***@cam/1' and \"rtsp://***@cam/2\""
        );
        assert_eq!(redact("no url, but a@b"), "no url, but a@b");
        assert_eq!(redact("rtsp://cam/x, rtsp://cam/y"), "rtsp://cam/x, rtsp://cam/y");
        // Rather too much than too little.
        assert_eq!(redact("rtsp://cam/x?y=a@b"), "rtsp://***@b");
    }

    proptest! {
        #[test]
        fn no_password_survives(
            user in "[a-z]{1,8}",
            password in "[a-zA-Z0-9:@!/?#%&=+<>\"';,.~^|-]{6,12}",
            host in "[a-z]{1,5}",
            before in "(open |'|\"|<|url=|)",
            after in "(, then|' failed|\" failed|>|)",
        ) {
            let password = format!("Q{password}Q");
            let redacted = redact(&format!("{before}rtsp://{user}:{password}@{host}/path{after}"));
            prop_assert!(!redacted.contains(&password), "{}", redacted);
            prop_assert!(redacted.contains(&format!("@{host}/path")), "{}", redacted);
        }

        #[test]
        fn nothing_is_hidden_where_there_is_no_secret(text in "[a-z:/ .,'\"?#=0-9]{0,60}") {
            prop_assert_eq!(redact(&text), text);
        }
    }
}
