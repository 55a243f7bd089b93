//! Unpredictable names: uids, generated suffixes, tokens.

use super::failure::Failure;

/// Letters and digits of generated names: no vowels, so that no words come up.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Random bytes from the TLS library's generator.
///
/// # Errors
/// The system has no entropy to give.
pub(super) fn bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut out = [0; N];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut out)
        .map_err(|_| Failure::internal("the system gives no random numbers"))?;
    Ok(out)
}

/// A version 4 UUID.
///
/// # Errors
/// See [`bytes`].
pub(in crate::runtime) fn uid() -> Result<String, Failure> {
    let number = u128::from_be_bytes(bytes()?);
    let number = number & !(0xf << 76) & !(0b11 << 62) | 0x4 << 76 | 0b10 << 62;
    let hex = format!("{number:032x}");
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    Ok([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}

/// `prefix` and five random characters, at most 63 in all.
///
/// # Errors
/// See [`bytes`].
pub(super) fn name(prefix: &str) -> Result<String, Failure> {
    let suffix: String = bytes::<5>()?
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()))
        .map(|letter| char::from(*letter))
        .collect();
    Ok(prefix.chars().take(58).chain(suffix.chars()).collect())
}

/// A secret of 32 bytes in hexadecimal.
///
/// # Errors
/// See [`bytes`].
pub(super) fn secret() -> Result<String, Failure> {
    Ok(bytes::<32>()?.iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn makes_uuids_and_names() {
        let uid = super::uid().unwrap();
        assert_eq!(uid.len(), 36);
        assert_eq!(uid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&uid.as_bytes()[19]));
        assert_ne!(uid, super::uid().unwrap());
        assert!(super::name("web-").unwrap().starts_with("web-"));
        assert_eq!(super::name(&"x".repeat(80)).unwrap().len(), 63);
    }
}
