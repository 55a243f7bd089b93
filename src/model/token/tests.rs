use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RsaKeyPair,
};
use serde_json::json;

use super::testing::{Signer, ed25519, encode};
use super::*;

fn ecdsa(is_384: bool) -> Signer {
    let (alg, curve, algorithm) = if is_384 {
        ("ES384", "P-384", &ECDSA_P384_SHA384_FIXED_SIGNING)
    } else {
        ("ES256", "P-256", &ECDSA_P256_SHA256_FIXED_SIGNING)
    };
    let key = EcdsaKeyPair::generate(algorithm).unwrap();
    let point = key.public_key().as_ref()[1..].to_vec();
    let (x, y) = point.split_at(point.len() / 2);
    let jwk = json!({"kty": "EC", "crv": curve, "kid": curve, "x": encode(x), "y": encode(y), "use": "sig"});
    Signer { alg, jwk, sign: Box::new(move |text| key.sign(&SystemRandom::new(), text).unwrap().as_ref().to_vec()) }
}

fn rsa(alg: &'static str) -> Signer {
    let padding: &'static dyn signature::RsaEncoding = match alg {
        "RS256" => &signature::RSA_PKCS1_SHA256,
        "RS384" => &signature::RSA_PKCS1_SHA384,
        "RS512" => &signature::RSA_PKCS1_SHA512,
        _ => &signature::RSA_PSS_SHA256,
    };
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = key.public_key();
    let (n, e) =
        (public.modulus().big_endian_without_leading_zero(), public.exponent().big_endian_without_leading_zero());
    let jwk = json!({"kty": "RSA", "kid": "rsa", "n": encode(n), "e": encode(e), "alg": alg});
    let sign = move |text: &[u8]| {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(padding, &SystemRandom::new(), text, &mut signature).unwrap();
        signature
    };
    Signer { alg, jwk, sign: Box::new(sign) }
}

const ISSUER: &str = "https://issuer.example.com";

fn rule(issuer: &str, keys: &[&Signer]) -> TokenRule {
    let keys: Vec<&Value> = keys.iter().map(|signer| &signer.jwk).collect();
    TokenRule {
        provenance: Provenance::new("RequestAuthentication", "shop", "jwt").with_rule("jwtRules[0]"),
        issuer: issuer.into(),
        audiences: Vec::new(),
        keys: KeySet::parse(json!({"keys": keys}).to_string().into()),
        places: vec![Place::Header { name: "authorization".into(), prefix: "Bearer ".into() }],
        forward: false,
        payload_header: None,
        claim_headers: Vec::new(),
        space_delimited: Vec::new(),
        required: false,
        fetched: false,
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn check(rules: &[TokenRule], token: &str) -> Result<String, TokenError> {
    let tokens = |_: &Place| vec![token.to_owned()];
    match authenticate(rules, tokens, now()) {
        Ok(found) => Ok(found.unwrap().claims.principal().unwrap_or_default()),
        Err((error, _)) => Err(error),
    }
}

#[test]
fn every_algorithm_verifies_its_own_signatures_and_no_others() {
    let signers = [ed25519(), ecdsa(false), ecdsa(true), rsa("RS256"), rsa("RS384"), rsa("RS512"), rsa("PS256")];
    let claims = json!({"iss": ISSUER, "sub": "ann", "exp": 1_800_000_100});
    for signer in &signers {
        let rules = [rule(ISSUER, &[signer])];
        let token = signer.token(&claims);
        assert_eq!(check(&rules, &token), Ok(format!("{ISSUER}/ann")), "{}", signer.alg);
        let (signed, _) = token.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{}", encode(&(signer.sign)(b"something else")));
        assert_eq!(check(&rules, &forged), Err(TokenError::Signature), "{}", signer.alg);
        for other in &signers {
            if other.alg != signer.alg {
                let disguised = other.token_with(&json!({"alg": signer.alg, "kid": signer.jwk["kid"]}), &claims);
                assert_eq!(check(&rules, &disguised), Err(TokenError::Signature), "{} as {}", other.alg, signer.alg);
            }
        }
    }
}

#[test]
fn no_trick_with_the_header_makes_a_token_good() {
    let signer = rsa("RS256");
    let rules = [rule(ISSUER, &[&signer])];
    let claims = json!({"iss": ISSUER, "sub": "ann"});
    for (header, expected) in [
        (json!({"alg": "none"}), TokenError::Algorithm),
        (json!({"alg": "None"}), TokenError::Algorithm),
        (json!({"alg": "HS256", "kid": "rsa"}), TokenError::Algorithm),
        (json!({"kid": "rsa"}), TokenError::Algorithm),
        (json!({"alg": "RS256", "kid": "other"}), TokenError::NoKey),
        (json!({"alg": "RS512", "kid": "rsa"}), TokenError::NoKey),
        (json!({"alg": "ES256", "kid": "rsa"}), TokenError::NoKey),
        (json!({"alg": "RS256", "kid": 7}), TokenError::Malformed("its key id is no text")),
        (json!({"alg": "RS256", "crit": ["b64"], "b64": false}), TokenError::Critical),
    ] {
        assert_eq!(check(&rules, &signer.token_with(&header, &claims)), Err(expected), "{header}");
    }
    // A key that comes with the token proves nothing.
    let stranger = rsa("RS256");
    let header = json!({"alg": "RS256", "kid": "rsa", "jwk": stranger.jwk});
    assert_eq!(check(&rules, &stranger.token_with(&header, &claims)), Err(TokenError::Signature));
    for broken in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "e30.e30.", "e30=.e30.AA", "\u{e9}.\u{e9}.\u{e9}"] {
        assert!(check(&rules, broken).is_err(), "{broken}");
    }
    assert!(check(&rules, &signer.token(&json!(["iss", ISSUER]))).is_err());
}

#[test]
fn unknown_keys_believe_nobody() {
    let signer = ed25519();
    let token = signer.token(&json!({"iss": ISSUER, "sub": "ann"}));
    for keys in ["", "{}", "not json", "{\"keys\": []}", "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AA\"}]}"] {
        let rules = [TokenRule { keys: KeySet::parse(keys.into()), ..rule(ISSUER, &[]) }];
        assert_eq!(check(&rules, &token), Err(TokenError::NoKeys), "{keys}");
    }
    // One that is for something else than signatures is no key to us.
    let mut other = ed25519();
    other.jwk["use"] = "enc".into();
    assert_eq!(check(&[rule(ISSUER, &[&other])], &other.token(&json!({"iss": ISSUER}))), Err(TokenError::NoKeys));
}

#[test]
fn times_issuers_and_audiences_count() {
    let signer = ed25519();
    let token = |claims: Value| signer.token(&claims);
    let rules = [TokenRule { audiences: vec!["shop".into(), "bank".into()], ..rule(ISSUER, &[&signer]) }];
    for (claims, expected) in [
        (json!({"iss": ISSUER, "sub": "a", "aud": "shop"}), Ok(())),
        (json!({"iss": ISSUER, "sub": "a", "aud": ["x", "bank"]}), Ok(())),
        (json!({"iss": ISSUER, "sub": "a", "aud": "shops"}), Err(TokenError::Audience)),
        (json!({"iss": ISSUER, "sub": "a"}), Err(TokenError::Audience)),
        (json!({"iss": "https://other", "aud": "shop"}), Err(TokenError::Issuer)),
        (json!({"aud": "shop"}), Err(TokenError::Issuer)),
        (json!({"iss": ISSUER, "aud": "shop", "exp": 1_799_999_950}), Ok(())),
        (json!({"iss": ISSUER, "aud": "shop", "exp": 1_799_999_900.5}), Err(TokenError::Expired)),
        (json!({"iss": ISSUER, "aud": "shop", "nbf": 1_800_000_050}), Ok(())),
        (json!({"iss": ISSUER, "aud": "shop", "nbf": 1_800_000_100}), Err(TokenError::NotYetValid)),
        (json!({"iss": ISSUER, "aud": "shop", "exp": "soon"}), Err(TokenError::Malformed("its times are no times"))),
        (json!({"iss": ISSUER, "aud": "shop", "exp": -1}), Err(TokenError::Malformed("its times are no times"))),
        (json!({"iss": ISSUER, "aud": "shop", "exp": 1e300}), Err(TokenError::Malformed("its times are no times"))),
    ] {
        assert_eq!(check(&rules, &token(claims.clone())).map(|_| ()), expected, "{claims}");
    }
    assert_eq!(TokenError::Audience.status(), 403);
    assert_eq!(TokenError::Expired.status(), 401);
}

#[test]
fn of_several_issuers_one_that_holds_is_enough_and_a_missing_token_passes_unless_required() {
    let (one, two) = (ed25519(), ecdsa(false));
    let mut rules = vec![rule("https://one", &[&one]), rule("https://two", &[&two])];
    for (signer, issuer) in [(&one, "https://one"), (&two, "https://two")] {
        let token = signer.token(&json!({"iss": issuer, "sub": "a"}));
        assert_eq!(check(&rules, &token), Ok(format!("{issuer}/a")));
    }
    let wrong = one.token(&json!({"iss": "https://two", "sub": "a"}));
    assert_eq!(check(&rules, &wrong), Err(TokenError::NoKey));
    assert_eq!(check(&rules, &one.token(&json!({"iss": "https://three"}))), Err(TokenError::Issuer));
    assert_eq!(authenticate(&rules, |_| Vec::new(), now()), Ok(None));
    let several = |_: &Place| vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(authenticate(&rules, several, now()).unwrap_err().0, TokenError::Several);
    // Another place may carry a bad one.
    rules[0].places = vec![Place::Parameter("access_token".into())];
    let good = two.token(&json!({"iss": "https://two", "sub": "a"}));
    let places = |place: &Place| match place {
        Place::Parameter(_) => vec!["bad".to_owned()],
        _ => vec![good.clone()],
    };
    assert!(authenticate(&rules, places, now()).unwrap().is_some());
    rules[1].required = true;
    assert_eq!(authenticate(&rules, |_| Vec::new(), now()).unwrap_err().0, TokenError::Missing);
}

#[test]
fn claims_are_texts_lists_and_words() {
    let claims =
        json!({"scope": "read write", "groups": ["a", "b", 7], "n": {"role": "x", "ok": true}, "roles": "p q"});
    let claims = Claims { all: claims.as_object().unwrap().clone(), space_delimited: vec!["roles".into()] };
    for (way, expected) in [
        (&["scope"][..], &["read", "write"][..]),
        (&["roles"], &["p", "q"]),
        (&["groups"], &["a", "b", "7"]),
        (&["n", "role"], &["x"]),
        (&["n", "ok"], &["true"]),
        (&["n"], &[]),
        (&["absent"], &[]),
    ] {
        assert_eq!(claims.texts(way), expected, "{way:?}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// A byte of the signed part, or one of the signature that is not its last: that one has bits that mean nothing.
    #[test]
    fn a_token_of_which_a_byte_was_changed_proves_nothing(
        place in proptest::prelude::any::<proptest::sample::Index>(),
        letter in "[A-Za-z0-9_.=-]",
    ) {
        let signer = ed25519();
        let token = signer.token(&json!({"iss": ISSUER, "sub": "a", "exp": 4_102_444_800_u64}));
        let place = place.index(token.len() - 1);
        let changed = format!("{}{letter}{}", &token[..place], &token[place + 1..]);
        let rules = [rule(ISSUER, &[&signer])];
        let verified = |token: &str| authenticate(&rules, |_| vec![token.to_owned()], SystemTime::now()).is_ok();
        proptest::prop_assert!(verified(&token));
        proptest::prop_assert!(changed == token || !verified(&changed), "{changed}");
    }

    #[test]
    fn no_text_is_a_token_and_none_panics(token in "([A-Za-z0-9_=-]{0,20}\\.){0,3}\\PC{0,20}", keys in "\\PC{0,40}") {
        let mut rules = [rule("", &[&ed25519()])];
        proptest::prop_assert!(authenticate(&rules, |_| vec![token.clone()], SystemTime::now()).is_err());
        rules[0].keys = KeySet::parse(keys.into());
        proptest::prop_assert!(authenticate(&rules, |_| vec![token.clone()], SystemTime::now()).is_err());
    }
}
