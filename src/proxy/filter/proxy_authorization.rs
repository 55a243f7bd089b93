//! A pod's outbound proxy serves that pod: whoever uses it must know the pod's token (`Proxy-Authorization: Basic`, any user).

/// Whether the header's value carries `token` as its password. The comparison takes as long for a wrong token as for the right
/// one of the same length.
pub fn permits(value: Option<&[u8]>, token: &str) -> bool {
    let Some(value) = value else { return false };
    let Some((scheme, credentials)) = value.split_at_checked(6) else { return false };
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return false;
    }
    let Some(decoded) = decode(credentials.trim_ascii()) else { return false };
    let Some(colon) = decoded.iter().position(|byte| *byte == b':') else { return false };
    let password = decoded.get(colon + 1..).unwrap_or_default();
    let token = token.as_bytes();
    password.len() == token.len() && password.iter().zip(token).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0
}

/// Base64 as RFC 4648 section 4 has it.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut decoded = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_opens_the_proxy() {
        for (value, expected) in [
            (Some("Basic cG9kOnMzY3JldA=="), true),
            (Some("basic OnMzY3JldA=="), true),
            (Some("Basic cG9kOnMzY3JldQ=="), false),
            (Some("Basic cG9kOnMzY3JldA"), true),
            (Some("Basic cG9kOg=="), false),
            (Some("Basic !!!"), false),
            (Some("Bearer cG9kOnMzY3JldA=="), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(permits(value.map(str::as_bytes), "s3cret"), expected, "{value:?}");
        }
    }
}
