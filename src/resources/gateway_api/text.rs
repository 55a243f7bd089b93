//! The texts of the Gateway API's kinds: names, groups, hosts, headers, each in the form that the definitions state.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::resources::field::{Cx, Field, TextPattern};
use crate::resources::suggest::shortened;
use crate::resources::values::is_lower_label;

/// What the schema states of a text, and the decoder holds.
#[derive(Debug)]
struct Form {
    min: Option<usize>,
    max: Option<usize>,
    pattern: Option<TextPattern>,
}

const fn form(min: usize, max: usize, pattern: Option<TextPattern>) -> Form {
    Form { min: Some(min), max: Some(max), pattern }
}

const fn at_most(max: usize, pattern: Option<TextPattern>) -> Form {
    Form { min: None, max: Some(max), pattern }
}

impl Form {
    fn schema(&self) -> Value {
        let mut schema = json!({"type": "string"});
        for (name, limit) in [("minLength", self.min), ("maxLength", self.max)] {
            if let Some(limit) = limit {
                schema[name] = limit.into();
            }
        }
        if let Some(pattern) = &self.pattern {
            schema["pattern"] = pattern.pattern.into();
        }
        schema
    }

    fn decode(&self, value: &Value, cx: &mut Cx) -> Option<Arc<str>> {
        let Value::String(text) = value else {
            cx.wrong_type("a string", value);
            return None;
        };
        let length = text.chars().count();
        if self.min.is_some_and(|min| length < min) {
            cx.error("is empty: write it out, or remove it");
        } else if let Some(max) = self.max.filter(|max| length > *max) {
            cx.error(format!("has {length} characters, and can have at most {max}"));
        } else if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !(pattern.holds)(text)) {
            cx.error(format!("{}: {:?}", pattern.sentence, shortened(text)));
        } else {
            return Some(text.as_str().into());
        }
        None
    }
}

macro_rules! texts {
    ($( $(#[doc = $doc:literal])+ $name:ident = $form:expr; )+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub struct $name(Arc<str>);

            impl $name {
                const FORM: Form = $form;

                /// The text.
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl Field for $name {
                fn schema() -> Value {
                    Self::FORM.schema()
                }

                fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
                    Self::FORM.decode(value, cx).map(Self)
                }

                fn encode(&self) -> Option<Value> {
                    Some(self.as_str().into())
                }
            }
        )+
    };
}

const GROUP: TextPattern = TextPattern {
    pattern: "^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    holds: |text| text.is_empty() || is_subdomain(text),
    sentence: "is no API group",
};

const KIND: TextPattern = TextPattern {
    pattern: "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
    holds: |text| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.ends_with(|last: char| last.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    },
    sentence: "is no kind",
};

const SUBDOMAIN: TextPattern = TextPattern {
    pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    holds: is_subdomain,
    sentence: "has to be lower-case letters, digits and `-`, in words with `.` between them",
};

const HOSTNAME: TextPattern = TextPattern {
    pattern: "^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    holds: |text| is_subdomain(text.strip_prefix("*.").unwrap_or(text)),
    sentence: "is no host, as `example.com` or `*.example.com` would be",
};

const LABEL: TextPattern = TextPattern {
    pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    holds: is_lower_label,
    sentence: "is no namespace's name",
};

const TOKEN: TextPattern = TextPattern {
    pattern: "^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$",
    holds: is_token,
    sentence: "has characters that a header's name cannot have",
};

const HEADER_VALUE: TextPattern = TextPattern {
    pattern: "^[!-~]+([\\t ]?[!-~]+)*$",
    holds: |text| {
        !text.contains("  ")
            && !text.starts_with([' ', '\t'])
            && !text.ends_with([' ', '\t'])
            && text.bytes().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t'))
            && !["\t\t", " \t", "\t "].iter().any(|pair| text.contains(pair))
    },
    sentence: "has characters that a header's value cannot have, or several spaces in a row",
};

const DURATION: TextPattern = TextPattern {
    pattern: "^([0-9]{1,5}(h|m|s|ms)){1,4}$",
    holds: |text| span(text).is_some(),
    sentence: "is no duration, as `10s`, `500ms` or `1h30m` are",
};

const CONTROLLER: TextPattern = TextPattern {
    pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\\/[A-Za-z0-9\\/\\-._~%!$&'()*+,;=:]+$",
    holds: is_domain_path,
    sentence: "has to be a domain, `/` and a path, as `example.com/controller` is",
};

const ADDRESS_TYPE: TextPattern = TextPattern {
    pattern: "^Hostname|IPAddress|NamedAddress|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\\/[A-Za-z0-9\\/\\-._~%!$&'()*+,;=:]+$",
    holds: |text| matches!(text, "Hostname" | "IPAddress" | "NamedAddress") || is_domain_path(text),
    sentence: "has to be `IPAddress`, `Hostname`, or a domain, `/` and a path",
};

const PROTOCOL: TextPattern = TextPattern {
    pattern: "^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\\/[A-Za-z0-9]+$",
    holds: |text| match text.split_once('/') {
        None => {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !text.starts_with('-')
                && !text.ends_with('-')
        }
        Some((domain, name)) => is_subdomain(domain) && name.bytes().all(|byte| byte.is_ascii_alphanumeric()),
    },
    sentence: "is no protocol, as HTTP, HTTPS, TLS, TCP and UDP are",
};

const LABEL_VALUE: TextPattern = TextPattern {
    pattern: "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
    holds: |text| text.is_empty() || is_qualified_name(text),
    sentence: "is no label's value",
};

const ORIGIN: TextPattern = TextPattern {
    pattern: "(^\\*$)|(^(http(s)?):\\/\\/(((\\*\\.)?([a-zA-Z0-9\\-]+\\.)*[a-zA-Z0-9-]+|\\*)(:([0-9]{1,5}))?)$)",
    holds: |text| {
        let Some((_, rest)) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https")) else {
            return text == "*";
        };
        let (host, port) = rest.split_once(':').unwrap_or((rest, "0"));
        let labels = host.strip_prefix("*.").unwrap_or(host);
        let is_host = labels
            .split('.')
            .all(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        (host == "*" || is_host) && (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
    },
    sentence: "is no origin, as `https://example.com` or `https://*.example.com` are",
};

const PATH: TextPattern = TextPattern {
    pattern: "^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$",
    holds: |text| !text.is_empty() && is_path_text(text),
    sentence: "has characters that a path cannot have",
};

const ABSOLUTE_URI: TextPattern = TextPattern {
    pattern: "^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\\?([^#]*))?(#(.*))?",
    holds: |text| {
        text.split_once("://").is_some_and(|(scheme, _)| !scheme.is_empty() && !scheme.contains(['/', '?', '#', ':']))
    },
    sentence: "is no URI, as `spiffe://cluster.local/ns/a/sa/b` is",
};

const AUTHORITIES: TextPattern = TextPattern {
    pattern: "^(System|([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]))$",
    holds: |text| {
        text == "System"
            || text
                .split_once('/')
                .is_some_and(|(domain, name)| is_subdomain(domain) && name.len() <= 63 && is_qualified_name(name))
    },
    sentence: "has to be `System`, or a domain, `/` and a name",
};

const CONDITION: TextPattern = TextPattern {
    pattern: "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
    holds: |text| {
        let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
        is_qualified_name(name) && prefix.is_none_or(is_subdomain)
    },
    sentence: "is no condition's type",
};

const REASON: TextPattern = TextPattern {
    pattern: "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
    holds: |text| {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && !text.ends_with([',', ':'])
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b',' | b':'))
    },
    sentence: "is no reason: it has to be one word",
};

texts! {
    /// An API group; empty for Kubernetes' core.
    Group = at_most(253, Some(GROUP));
    /// A kind.
    KindName = form(1, 63, Some(KIND));
    /// An object's name.
    ObjectName = form(1, 253, None);
    /// A namespace's name.
    Namespace = form(1, 63, Some(LABEL));
    /// The name of a listener, a port or a rule.
    SectionName = form(1, 253, Some(SUBDOMAIN));
    /// A host, or all below a domain: `*.example.com`.
    Hostname = form(1, 253, Some(HOSTNAME));
    /// A host that is no wildcard.
    PreciseHostname = form(1, 253, Some(SUBDOMAIN));
    /// A header's name.
    HeaderName = form(1, 256, Some(TOKEN));
    /// A header's value.
    HeaderValue = form(1, 4096, Some(HEADER_VALUE));
    /// A header's value or an expression for it, as GRPCRoute has them.
    HeaderText = form(1, 4096, None);
    /// The value of a query parameter, or an expression for it.
    QueryValue = form(1, 1024, None);
    /// A path, or what replaces one.
    PathText = at_most(1024, None);
    /// A path of an HTTP service.
    ServicePath = at_most(1024, Some(PATH));
    /// A span of time (GEP-2257): at most four numbers with units, `1h30m`.
    Span = Form { min: None, max: None, pattern: Some(DURATION) };
    /// The name of what is in charge of a class.
    ControllerName = form(1, 253, Some(CONTROLLER));
    /// What sort of address this is.
    AddressType = form(1, 253, Some(ADDRESS_TYPE));
    /// An address.
    AddressValue = at_most(253, None);
    /// An address that is in use.
    StatusAddress = form(1, 253, None);
    /// What is spoken on a port.
    Protocol = form(1, 255, Some(PROTOCOL));
    /// A short text for people.
    Description = at_most(64, None);
    /// A label's value.
    LabelValue = form(0, 63, Some(LABEL_VALUE));
    /// An annotation's value, or an option's.
    AnnotationValue = form(0, 4096, None);
    /// An origin of pages, or `*`.
    Origin = form(1, 253, Some(ORIGIN));
    /// A URI with a scheme.
    AbsoluteUri = form(1, 253, Some(ABSOLUTE_URI));
    /// The name of authorities that need no certificate.
    WellKnownAuthorities = form(1, 253, Some(AUTHORITIES));
    /// The type of a condition.
    ConditionType = at_most(316, Some(CONDITION));
    /// The reason of a condition.
    Reason = form(1, 1024, Some(REASON));
    /// A condition's sentence.
    ConditionMessage = at_most(32_768, None);
}

impl Span {
    /// How long it is.
    pub fn get(&self) -> std::time::Duration {
        span(&self.0).unwrap_or_default()
    }
}

fn span(text: &str) -> Option<std::time::Duration> {
    let mut rest = text;
    let mut total = std::time::Duration::ZERO;
    for _ in 0..4 {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| (1..=5).contains(digits))?;
        let (number, behind) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let units = [("ms", 1_u64), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let (unit, scale) = units.into_iter().find(|(unit, _)| behind.starts_with(unit))?;
        total += std::time::Duration::from_millis(number * scale);
        rest = behind.get(unit.len()..)?;
        if rest.is_empty() {
            return Some(total);
        }
    }
    None
}

pub(in crate::resources) fn is_subdomain(text: &str) -> bool {
    text.split('.').all(|label| {
        let bytes = label.as_bytes();
        let ends = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        ends(bytes.first())
            && ends(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
    })
}

pub(in crate::resources) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_domain_path(text: &str) -> bool {
    text.split_once('/').is_some_and(|(domain, path)| {
        is_subdomain(domain)
            && !path.is_empty()
            && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte))
    })
}

pub(in crate::resources) fn is_qualified_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Whether a path could have been written like this: what it cannot hold is percent-encoded.
pub(in crate::resources) fn is_path_text(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let plain = byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@".contains(&byte);
        let encoded = |bytes: &mut std::str::Bytes<'_>| {
            let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
            hex(bytes.next()) && hex(bytes.next())
        };
        if !plain && (byte != b'%' || !encoded(&mut bytes)) {
            return false;
        }
    }
    true
}
