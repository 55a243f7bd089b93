//! RequestAuthentication: whose tokens a workload believes.

use super::field::{Limit, TextPattern, names, record};
use super::peer_authentication::WorkloadSelector;
use super::policy_target::{ONE_ATTACHMENT, TargetRef};
use super::rules::request_authentication as rules;
use super::values::{Duration, HttpUrl};

record! {
    /// Whose tokens (JWT) a workload believes. A request with a token that does not hold is refused; one without a token is not,
    /// unless a rule requires one or an AuthorizationPolicy does.
    pub struct RequestAuthentication {
        /// The workloads; all of the namespace, or of the mesh in its root namespace, if nothing says which.
        selector: Option<WorkloadSelector> = "selector";
        /// The object that the policy is attached to. Use targetRefs.
        target_ref: Option<TargetRef> = "targetRef";
        /// The objects that the policy is attached to.
        target_refs: Vec<TargetRef> = "targetRefs" [Limit::MaxItems(16)];
        /// The issuers, and how their tokens are checked.
        jwt_rules: Vec<JwtRule> = "jwtRules" [Limit::MaxItems(4096)];
    }
    cel: &[ONE_ATTACHMENT];
    check: rules::request_authentication;
}

record! {
    /// An issuer, and how its tokens are checked.
    pub struct JwtRule {
        /// Who issues the tokens: their `iss` claim.
        issuer: Option<String> = "issuer" [Limit::MinLength(1)];
        /// The audiences one of which a token has to be for; any if not said.
        audiences: Vec<String> = "audiences" [Limit::ItemsMinLength(1)];
        /// Where the issuer's keys are; found by OpenID Connect discovery if neither this nor jwks is set.
        jwks_uri: Option<HttpUrl> = "jwksUri" [Limit::MinLength(1), Limit::MaxLength(2048), Limit::Cel(URL)];
        /// An old spelling of jwksUri.
        jwks_uri_old: Option<HttpUrl> = "jwks_uri" [Limit::MinLength(1), Limit::MaxLength(2048), Limit::Cel(URL)];
        /// The issuer's keys, as JSON (RFC 7517).
        jwks: Option<String> = "jwks";
        /// The headers that carry a token; `Authorization: Bearer` if no place is named.
        from_headers: Vec<TokenHeader> = "fromHeaders";
        /// The parameters of the query that carry a token; `access_token` if no place is named.
        from_params: Vec<String> = "fromParams" [Limit::ItemsMinLength(1)];
        /// The cookies that carry a token.
        from_cookies: Vec<String> = "fromCookies" [Limit::ItemsMinLength(1)];
        /// The header in which the workload gets the token's payload, base64url.
        output_payload_to_header: Option<String> = "outputPayloadToHeader";
        /// Whether the workload gets the token.
        forward_original_token: Option<bool> = "forwardOriginalToken";
        /// Claims that the workload gets as headers.
        output_claim_to_headers: Vec<ClaimToHeader> = "outputClaimToHeaders";
        /// How long fetching the keys may take.
        timeout: Option<Duration> = "timeout" [Limit::AtLeast1ms];
        /// Claims that are lists of words with blanks between.
        space_delimited_claims: Vec<String> = "spaceDelimitedClaims" [Limit::MaxItems(64), Limit::ItemsMinLength(1)];
        /// Whether a request without a token is refused.
        presence: Option<Presence> = "presence";
    }
    cel: &[(
        "(has(self.jwksUri) ? 1 : 0) + (has(self.jwks_uri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1",
        "only one of jwks and jwksUri can be set",
    )];
    check: rules::jwt_rule;
}

const URL: &[(&str, &str)] =
    &[("url(self).getScheme() in [\"http\", \"https\"]", "the URL's scheme has to be http or https")];

record! {
    /// A header that carries a token.
    pub struct TokenHeader {
        /// Its name.
        name: String = "name" [Limit::MinLength(1)];
        /// What stands before the token.
        prefix: Option<String> = "prefix";
    }
}

record! {
    /// A claim that the workload gets as a header.
    pub struct ClaimToHeader {
        /// The header.
        header: String = "header" [Limit::MinLength(1), Limit::Pattern(HEADER)];
        /// The claim; `.` leads into nested ones.
        claim: String = "claim" [Limit::MinLength(1)];
    }
}

/// A header's name, as Istio takes it.
pub(super) const HEADER: TextPattern = TextPattern {
    pattern: "^[-_A-Za-z0-9]+$",
    holds: |text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
    sentence: "is no header's name: letters, digits, `-` and `_`",
};

names! {
    /// Whether a request has to carry a token.
    pub enum Presence {
        /// It may carry none.
        Optional = "OPTIONAL",
        /// It is refused without one.
        Required = "REQUIRED",
    }
}
