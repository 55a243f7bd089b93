//! What rules do with requests on the way, and the answers that they give.
//!
//! Texts that end up in header lines are checked here as well: whatever the control plane sends, a line stays one line.

use std::time::Duration;

use crate::model::handling::RETRY_CONDITIONS;
use crate::model::{
    AbortStatus, ClusterName, Cors, DirectResponse, Fault, Handling, HeaderChanges, HeaderEdits, HeaderText, Mirror,
    PathRewrite, Redirect, RedirectPath, RedirectPort, RetryCondition, RetryPolicy, Rewrite, Share, StringMatch,
    Substitution,
};
use crate::wire::convert::{ConvertError, Problem, list, non_empty, port, required};
use crate::wire::proto::mesh::v1;

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn some_duration(nanoseconds: u64) -> Option<Duration> {
    (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
}

/// Text that a header line can hold.
fn line_text(field: &str, text: String) -> Result<Box<str>, ConvertError> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(ConvertError::new(field, Problem::Text(text.escape_debug().to_string(), "text of one line")));
    }
    Ok(text.into())
}

/// Text that a request target can hold.
fn target_text(field: &str, text: String) -> Result<Box<str>, ConvertError> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConvertError::new(field, Problem::Text(text.escape_debug().to_string(), "part of a target")));
    }
    Ok(text.into())
}

pub(super) fn authority(field: &str, text: String) -> Result<Option<Box<str>>, ConvertError> {
    if text.is_empty() { Ok(None) } else { target_text(field, text).map(Some) }
}

fn status(field: &str, number: u32) -> Result<u16, ConvertError> {
    match u16::try_from(number) {
        Ok(number @ 200..=599) => Ok(number),
        _ => Err(ConvertError::new(field, Problem::OutOfRange(number.into(), 200, 599))),
    }
}

impl From<&Handling> for v1::Handling {
    fn from(handling: &Handling) -> Self {
        Self {
            timeout: handling.timeout.map_or(0, nanoseconds),
            retry: Some((&handling.retry).into()),
            fault: handling.fault.as_ref().map(Into::into),
            rewrite: handling.rewrite.as_ref().map(Into::into),
            headers: Some((&handling.headers).into()),
            mirrors: handling.mirrors.iter().map(v1::Mirror::from).collect(),
            cors: handling.cors.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<v1::Handling> for Handling {
    type Error = ConvertError;

    fn try_from(message: v1::Handling) -> Result<Self, ConvertError> {
        fn optional<M, T: TryFrom<M, Error = ConvertError>>(
            field: &str,
            message: Option<M>,
        ) -> Result<Option<T>, ConvertError> {
            message.map(T::try_from).transpose().map_err(|error| error.within(field))
        }
        Ok(Self {
            timeout: some_duration(message.timeout),
            retry: required("retry", message.retry, TryInto::try_into)?,
            fault: optional("fault", message.fault)?,
            rewrite: optional("rewrite", message.rewrite)?,
            headers: required("headers", message.headers, TryInto::try_into)?,
            mirrors: list("mirrors", message.mirrors, Mirror::try_from)?,
            cors: optional("cors", message.cors)?,
        })
    }
}

impl From<&RetryPolicy> for v1::RetryPolicy {
    fn from(policy: &RetryPolicy) -> Self {
        let name = |condition: &RetryCondition| RETRY_CONDITIONS.iter().find(|(_, known)| known == condition);
        Self {
            attempts: policy.attempts,
            per_try_timeout: policy.per_try_timeout.map_or(0, nanoseconds),
            on: policy.on.iter().filter_map(name).map(|(name, _)| (*name).to_owned()).collect(),
            status_codes: policy.status_codes.iter().map(|code| (*code).into()).collect(),
            backoff: nanoseconds(policy.backoff),
            avoids_tried: policy.avoids_tried,
        }
    }
}

impl TryFrom<v1::RetryPolicy> for RetryPolicy {
    type Error = ConvertError;

    fn try_from(message: v1::RetryPolicy) -> Result<Self, ConvertError> {
        let condition = |name: String| match RETRY_CONDITIONS.iter().find(|(known, _)| *known == name) {
            Some((_, condition)) => Ok(*condition),
            None => Err(ConvertError::new("", Problem::Text(name, "condition to retry on"))),
        };
        let code = |code: u32| match u16::try_from(code) {
            Ok(code @ 100..=599) => Ok(code),
            _ => Err(ConvertError::new("", Problem::OutOfRange(code.into(), 100, 599))),
        };
        Ok(Self {
            attempts: message.attempts,
            per_try_timeout: some_duration(message.per_try_timeout),
            on: list("on", message.on, condition)?,
            status_codes: list("status_codes", message.status_codes, code)?,
            backoff: Duration::from_nanos(message.backoff),
            avoids_tried: message.avoids_tried,
        })
    }
}

impl From<&Fault> for v1::Fault {
    fn from(fault: &Fault) -> Self {
        Self {
            delay: fault.delay.map_or(0, |(time, _)| nanoseconds(time)),
            delay_share: fault.delay.map_or(0, |(_, share)| share.millionths()),
            abort: fault.abort.map(|(status, _)| match status {
                AbortStatus::Http(status) => v1::fault::Abort::HttpStatus(status.into()),
                AbortStatus::Grpc(status) => v1::fault::Abort::GrpcStatus(status.into()),
            }),
            abort_share: fault.abort.map_or(0, |(_, share)| share.millionths()),
        }
    }
}

impl TryFrom<v1::Fault> for Fault {
    type Error = ConvertError;

    fn try_from(message: v1::Fault) -> Result<Self, ConvertError> {
        let abort = match message.abort {
            None => None,
            Some(v1::fault::Abort::HttpStatus(number)) => Some(AbortStatus::Http(status("http_status", number)?)),
            Some(v1::fault::Abort::GrpcStatus(number)) => match u8::try_from(number) {
                Ok(number @ 0..=16) => Some(AbortStatus::Grpc(number)),
                _ => return Err(ConvertError::new("grpc_status", Problem::OutOfRange(number.into(), 0, 16))),
            },
        };
        Ok(Self {
            delay: some_duration(message.delay).map(|time| (time, Share::of_million(message.delay_share))),
            abort: abort.map(|status| (status, Share::of_million(message.abort_share))),
        })
    }
}

impl From<&Rewrite> for v1::Rewrite {
    fn from(rewrite: &Rewrite) -> Self {
        Self {
            authority: rewrite.authority.as_deref().unwrap_or_default().to_owned(),
            path: rewrite.path.as_ref().map(|path| match path {
                PathRewrite::Matched(replacement) => v1::rewrite::Path::Matched(replacement.to_string()),
                PathRewrite::Regex(substitution) => v1::rewrite::Path::Regex(v1::Substitution {
                    pattern: substitution.pattern().to_owned(),
                    replacement: substitution.replacement().to_owned(),
                }),
            }),
        }
    }
}

impl TryFrom<v1::Rewrite> for Rewrite {
    type Error = ConvertError;

    fn try_from(message: v1::Rewrite) -> Result<Self, ConvertError> {
        let path = match message.path {
            None => None,
            Some(v1::rewrite::Path::Matched(replacement)) => {
                Some(PathRewrite::Matched(target_text("matched", replacement)?))
            }
            Some(v1::rewrite::Path::Regex(regex)) => {
                let replacement = target_text("regex.replacement", regex.replacement)?;
                let substitution = Substitution::new(&regex.pattern, &replacement);
                Some(PathRewrite::Regex(substitution.map_err(|error| ConvertError::new("regex", error))?))
            }
        };
        Ok(Self { authority: authority("authority", message.authority)?, path })
    }
}

impl From<&HeaderEdits> for v1::HeaderEdits {
    fn from(edits: &HeaderEdits) -> Self {
        Self { request: Some((&edits.request).into()), response: Some((&edits.response).into()) }
    }
}

impl TryFrom<v1::HeaderEdits> for HeaderEdits {
    type Error = ConvertError;

    fn try_from(message: v1::HeaderEdits) -> Result<Self, ConvertError> {
        Ok(Self {
            request: required("request", message.request, TryInto::try_into)?,
            response: required("response", message.response, TryInto::try_into)?,
        })
    }
}

impl From<&HeaderChanges> for v1::HeaderChanges {
    fn from(changes: &HeaderChanges) -> Self {
        let lines = |lines: &[(Box<str>, HeaderText)]| {
            let lines = lines.iter();
            lines
                .map(|(name, value)| v1::HeaderLine { name: name.to_string(), value: value.as_str().to_owned() })
                .collect()
        };
        Self {
            remove: changes.remove.iter().map(ToString::to_string).collect(),
            set: lines(&changes.set),
            add: lines(&changes.add),
        }
    }
}

impl TryFrom<v1::HeaderChanges> for HeaderChanges {
    type Error = ConvertError;

    fn try_from(message: v1::HeaderChanges) -> Result<Self, ConvertError> {
        fn name(field: &str, name: String) -> Result<Box<str>, ConvertError> {
            let token = |byte: u8| {
                (byte.is_ascii_alphanumeric() && !byte.is_ascii_uppercase()) || b"!#$%&'*+-.^_`|~".contains(&byte)
            };
            if name.is_empty() || !name.bytes().all(token) || !HeaderChanges::permits(&name) {
                return Err(ConvertError::new(field, Problem::Text(name, "header that may be changed")));
            }
            Ok(name.into())
        }
        let line = |line: v1::HeaderLine| Ok((name("name", line.name)?, line_text("value", line.value)?.into()));
        Ok(Self {
            remove: list("remove", message.remove, |removed| name("", removed))?,
            set: list("set", message.set, line)?,
            add: list("add", message.add, line)?,
        })
    }
}

impl From<&Mirror> for v1::Mirror {
    fn from(mirror: &Mirror) -> Self {
        Self {
            host: mirror.cluster.host.to_string(),
            port: mirror.cluster.port.into(),
            subset: mirror.cluster.subset.as_deref().unwrap_or_default().to_owned(),
            share: mirror.share.millionths(),
        }
    }
}

impl TryFrom<v1::Mirror> for Mirror {
    type Error = ConvertError;

    fn try_from(message: v1::Mirror) -> Result<Self, ConvertError> {
        Ok(Self {
            cluster: ClusterName {
                host: non_empty("host", message.host)?,
                port: port("port", message.port)?,
                subset: (!message.subset.is_empty()).then(|| message.subset.into()),
            },
            share: Share::of_million(message.share),
        })
    }
}

impl From<&Cors> for v1::Cors {
    fn from(cors: &Cors) -> Self {
        Self {
            origins: cors.origins.iter().map(Into::into).collect(),
            methods: cors.methods.to_string(),
            headers: cors.headers.to_string(),
            expose: cors.expose.to_string(),
            max_age: cors.max_age,
            credentials: cors.credentials,
            forwards_unmatched: cors.forwards_unmatched,
        }
    }
}

impl TryFrom<v1::Cors> for Cors {
    type Error = ConvertError;

    fn try_from(message: v1::Cors) -> Result<Self, ConvertError> {
        Ok(Self {
            origins: list("origins", message.origins, StringMatch::try_from)?,
            methods: line_text("methods", message.methods)?,
            headers: line_text("headers", message.headers)?,
            expose: line_text("expose", message.expose)?,
            max_age: message.max_age,
            credentials: message.credentials,
            forwards_unmatched: message.forwards_unmatched,
        })
    }
}

impl From<&Redirect> for v1::Redirect {
    fn from(redirect: &Redirect) -> Self {
        let (port_rule, port) = match redirect.port {
            RedirectPort::Keep => (v1::RedirectPort::Keep, 0),
            RedirectPort::Number(port) => (v1::RedirectPort::Number, port),
            RedirectPort::ProtocolDefault => (v1::RedirectPort::ProtocolDefault, 0),
            RedirectPort::Request => (v1::RedirectPort::Request, 0),
        };
        Self {
            path: match &redirect.path {
                RedirectPath::Keep => None,
                RedirectPath::Replace(path) => Some(v1::redirect::Path::Replace(path.to_string())),
                RedirectPath::Matched(path) => Some(v1::redirect::Path::Matched(path.to_string())),
            },
            authority: redirect.authority.as_deref().unwrap_or_default().to_owned(),
            port_rule: port_rule.into(),
            port: port.into(),
            scheme: redirect.scheme.as_deref().unwrap_or_default().to_owned(),
            status: redirect.status.into(),
        }
    }
}

impl TryFrom<v1::Redirect> for Redirect {
    type Error = ConvertError;

    fn try_from(message: v1::Redirect) -> Result<Self, ConvertError> {
        let port_rule = match v1::RedirectPort::try_from(message.port_rule) {
            Ok(v1::RedirectPort::Keep) => RedirectPort::Keep,
            Ok(v1::RedirectPort::Number) => RedirectPort::Number(port("port", message.port)?),
            Ok(v1::RedirectPort::ProtocolDefault) => RedirectPort::ProtocolDefault,
            Ok(v1::RedirectPort::Request) => RedirectPort::Request,
            Ok(v1::RedirectPort::Unspecified) | Err(_) => {
                return Err(ConvertError::new("port_rule", Problem::UnknownValue(message.port_rule)));
            }
        };
        if !matches!(message.status, 301 | 302 | 303 | 307 | 308) {
            return Err(ConvertError::new("status", Problem::OutOfRange(message.status.into(), 301, 308)));
        }
        Ok(Self {
            path: match message.path {
                None => RedirectPath::Keep,
                Some(v1::redirect::Path::Replace(path)) => RedirectPath::Replace(target_text("replace", path)?),
                Some(v1::redirect::Path::Matched(path)) => RedirectPath::Matched(target_text("matched", path)?),
            },
            authority: authority("authority", message.authority)?,
            port: port_rule,
            scheme: match message.scheme.as_str() {
                "" => None,
                scheme @ ("http" | "https") => Some(scheme.into()),
                _ => return Err(ConvertError::new("scheme", Problem::Text(message.scheme, "scheme of HTTP"))),
            },
            status: status("status", message.status)?,
        })
    }
}

impl From<&DirectResponse> for v1::DirectResponse {
    fn from(response: &DirectResponse) -> Self {
        Self { status: response.status.into(), body: response.body.clone() }
    }
}

impl TryFrom<v1::DirectResponse> for DirectResponse {
    type Error = ConvertError;

    fn try_from(message: v1::DirectResponse) -> Result<Self, ConvertError> {
        Ok(Self { status: status("status", message.status)?, body: message.body })
    }
}
