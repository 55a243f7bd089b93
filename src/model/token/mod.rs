//! Tokens that requests carry (JWT, RFC 7519): whose are believed, and what a request's tokens prove.
//!
//! [`authenticate`] is pure: the request's tokens and the time are arguments. A request without a token passes, unless a rule
//! requires one; a token that does not hold refuses the request, unless another one of it holds. A rule whose keys are not known
//! believes nobody: an empty [`KeySet`] verifies no signature.

mod jws;
mod keys;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::model::authz::Claims;
use crate::resources::Provenance;

pub use keys::KeySet;

/// By how much the clocks of an issuer and a proxy may differ.
const LEEWAY: Duration = Duration::from_secs(60);

/// Longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 << 10;

/// Where a request may carry a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A header, by its name in lower case, behind a prefix that may be empty.
    Header {
        /// Its name.
        name: Arc<str>,
        /// What stands before the token; letters' case does not matter (RFC 9110 section 11.1).
        prefix: Arc<str>,
    },
    /// A parameter of the query.
    Parameter(Arc<str>),
    /// A cookie.
    Cookie(Arc<str>),
}

/// A header in which a workload gets a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimHeader {
    /// Its name, in lower case.
    pub header: Arc<str>,
    /// The way to the claim.
    pub claim: Arc<[Box<str>]>,
}

/// An issuer whose tokens are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRule {
    /// Where it was written.
    pub provenance: Provenance,
    /// The `iss` claim; empty: any.
    pub issuer: Arc<str>,
    /// Audiences one of which the token is for; none: any.
    pub audiences: Vec<Arc<str>>,
    /// The issuer's keys.
    pub keys: KeySet,
    /// Where its tokens are looked for, in order.
    pub places: Vec<Place>,
    /// Whether the workload gets the token.
    pub forward: bool,
    /// The header in which the workload gets the payload, in lower case.
    pub payload_header: Option<Arc<str>>,
    /// Headers in which it gets claims.
    pub claim_headers: Vec<ClaimHeader>,
    /// Claims that are words with blanks between.
    pub space_delimited: Vec<Box<str>>,
    /// Whether a request without a token is refused.
    pub required: bool,
    /// Whether the keys come from elsewhere, where newer ones may be.
    pub fetched: bool,
}

/// A token that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated<'r> {
    /// The rule that believes its issuer.
    pub rule: &'r TokenRule,
    /// Where the request carries it.
    pub place: &'r Place,
    /// What it says.
    pub claims: Claims,
    /// The same, as the token has it: base64url without padding.
    pub payload: String,
}

/// Why a token, or a request without one, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("Jwt is missing")]
    Missing,
    /// One place carries several, and nobody knows which one counts behind the proxy.
    #[error("one place of the request carries several Jwts")]
    Several,
    /// It is not one.
    #[error("Jwt is not in the form of Header.Payload.Signature with two dots and three sections: {0}")]
    Malformed(&'static str),
    /// Its algorithm is none that proves anything.
    #[error("Jwt header [alg] is not supported")]
    Algorithm,
    /// It demands something that is not understood (RFC 7515 section 4.1.11).
    #[error("Jwt header [crit] names extensions, and none is understood")]
    Critical,
    /// Its issuer is another.
    #[error("Jwt issuer is not configured")]
    Issuer,
    /// Its time is over.
    #[error("Jwt is expired")]
    Expired,
    /// Its time has not come.
    #[error("Jwt not yet valid")]
    NotYetValid,
    /// The issuer's keys are not known.
    #[error("Jwks doesn't have any key: it could not be fetched, or holds none")]
    NoKeys,
    /// None of the issuer's keys is the one that it names.
    #[error("Jwks doesn't have key to match kid or alg from Jwt")]
    NoKey,
    /// No key of the issuer's has signed it.
    #[error("Jwt verification fails")]
    Signature,
    /// It is for others.
    #[error("Audiences in Jwt are not allowed")]
    Audience,
}

impl TokenError {
    /// The status of the answer: 403 for a good token that is for others, 401 for anything else.
    pub fn status(&self) -> u16 {
        if *self == Self::Audience { 403 } else { 401 }
    }
}

/// What the tokens of a request prove. `tokens` gives those at a place; `Ok(None)`: there are none.
///
/// # Errors
/// Why the request is refused, and the rule that refuses it.
pub fn authenticate<'r>(
    rules: &'r [TokenRule],
    tokens: impl Fn(&Place) -> Vec<String>,
    now: SystemTime,
) -> Result<Option<Authenticated<'r>>, (TokenError, &'r TokenRule)> {
    let mut refused = None;
    for rule in rules {
        let mut is_missing = true;
        for place in &rule.places {
            let found = tokens(place);
            let outcome = match found.as_slice() {
                [] => continue,
                [token] => rule.verify(token, now),
                _ => Err(TokenError::Several),
            };
            is_missing = false;
            match outcome {
                Ok((claims, payload)) => return Ok(Some(Authenticated { rule, place, claims, payload })),
                // The reason that says most is that of the rule for the token's own issuer.
                Err(error) => match &refused {
                    Some((TokenError::Issuer, _)) | None => refused = Some((error, rule)),
                    Some(_) => {}
                },
            }
        }
        if is_missing && rule.required && refused.is_none() {
            refused = Some((TokenError::Missing, rule));
        }
    }
    refused.map_or(Ok(None), Err)
}

impl TokenRule {
    fn verify(&self, token: &str, now: SystemTime) -> Result<(Claims, String), TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed("it is longer than 16 KiB"));
        }
        let token = jws::Jws::parse(token)?;
        if !self.issuer.is_empty() && token.claims.get("iss").and_then(Value::as_str) != Some(&*self.issuer) {
            return Err(TokenError::Issuer);
        }
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        match time(token.claims.get("exp"))? {
            Some(end) if now > end + LEEWAY => return Err(TokenError::Expired),
            _ => {}
        }
        match time(token.claims.get("nbf"))? {
            Some(begin) if now + LEEWAY < begin => return Err(TokenError::NotYetValid),
            _ => {}
        }
        self.keys.verify(&token)?;
        let claims = Claims { all: token.claims, space_delimited: self.space_delimited.clone() };
        let audiences = claims.texts(&["aud"]);
        if !self.audiences.is_empty()
            && !audiences.iter().any(|audience| self.audiences.iter().any(|it| **it == *audience))
        {
            return Err(TokenError::Audience);
        }
        Ok((claims, token.payload.to_owned()))
    }
}

/// A time in seconds since 1970, which may have a fraction (RFC 7519 section 2).
fn time(claim: Option<&Value>) -> Result<Option<Duration>, TokenError> {
    let Some(claim) = claim else { return Ok(None) };
    let seconds = claim.as_f64().filter(|seconds| *seconds >= 0.0 && *seconds < 1e15);
    seconds.map(|seconds| Some(Duration::from_secs_f64(seconds))).ok_or(TokenError::Malformed("its times are no times"))
}
