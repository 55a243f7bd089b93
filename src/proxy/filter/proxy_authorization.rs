//! A pod's outbound proxy serves that pod: whoever uses it must know the pod's token (`Proxy-Authorization: Basic`, any user).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Clients write credentials with padding and without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether the header's value carries `token` as its password. The comparison takes as long for a wrong token as for the right
/// one of the same length.
pub fn permits(value: Option<&[u8]>, token: &str) -> bool {
    let Some(value) = value else { return false };
    let Some((scheme, credentials)) = value.split_at_checked(6) else { return false };
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return false;
    }
    let Ok(decoded) = BASE64.decode(credentials.trim_ascii()) else { return false };
    let Some(colon) = decoded.iter().position(|byte| *byte == b':') else { return false };
    let password = decoded.get(colon + 1..).unwrap_or_default();
    let token = token.as_bytes();
    password.len() == token.len() && password.iter().zip(token).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0
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
