//! What a rule of a VirtualService does with its requests on the way, and the answers that it gives itself.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use crate::compile::names::qualify;
use crate::model::handling::RETRY_CONDITIONS;
use crate::model::{
    AbortStatus, ClusterName, Cors, DirectResponse, Fault, Handling, HeaderChanges, HeaderEdits, HeaderText, Mirror,
    PathRewrite, Redirect, RedirectPath, RedirectPort, RetryCondition, RetryPolicy, Rewrite, Share, Substitution,
};
use crate::resources::GRPC_STATUSES;
use crate::resources::virtual_service::{
    self as resource, CorsPolicy, DerivePort, Destination, Headers, HttpRoute, Percent, Retries, UnmatchedPreflights,
};

/// Everything but the mirrors, whose clusters depend on the port of the request.
pub(super) fn handling(route: &HttpRoute) -> Handling {
    Handling {
        timeout: route.timeout.map(|timeout| timeout.get()).filter(|timeout| !timeout.is_zero()),
        retry: route.retries.as_ref().map_or_else(RetryPolicy::default, retry),
        fault: route.fault.as_ref().map(fault).filter(|fault| *fault != Fault::default()),
        rewrite: rewrite(route),
        headers: header_edits(route.headers.as_ref()),
        mirrors: Vec::new(),
        cors: route.cors_policy.as_ref().map(cors),
    }
}

/// Where copies go, with which share, as destinations of the VirtualService.
pub(super) fn mirrors(route: &HttpRoute) -> Vec<(&Destination, Share)> {
    let percent = route.mirror_percent.or(route.mirror_percent_old);
    let old = percent.map_or(Share::ALL, |percent| Share::of_hundred(percent.into()));
    let single = route.mirror.iter().map(|destination| (destination, share_or(route.mirror_percentage.as_ref(), old)));
    let several =
        route.mirrors.iter().map(|mirror| (&mirror.destination, share_or(mirror.percentage.as_ref(), Share::ALL)));
    single.chain(several).filter(|(_, share)| share.millionths() > 0).collect()
}

/// The destination's cluster; `port` stands in for one that it does not name.
pub(super) fn cluster(destination: &Destination, namespace: &str, domain: &str, port: u16) -> ClusterName {
    ClusterName {
        host: qualify(destination.host.as_str(), namespace, domain),
        port,
        subset: destination.subset.as_deref().filter(|subset| !subset.is_empty()).map(Into::into),
    }
}

/// A mirror to this cluster.
pub(super) fn mirror(cluster: ClusterName, share: Share) -> Mirror {
    Mirror { cluster, share }
}

fn share_or(percent: Option<&Percent>, otherwise: Share) -> Share {
    percent.map_or(otherwise, |percent| Share::of_hundred(percent.value.unwrap_or(0.0)))
}

fn retry(retries: &Retries) -> RetryPolicy {
    let Some(attempts) = retries.attempts.and_then(|attempts| u32::try_from(attempts).ok()).filter(|count| *count > 0)
    else {
        return RetryPolicy::never();
    };
    let default = RetryPolicy::default();
    let mut policy = RetryPolicy {
        attempts,
        per_try_timeout: retries.per_try_timeout.map(|timeout| timeout.get()).filter(|timeout| !timeout.is_zero()),
        backoff: retries.backoff.map_or(default.backoff, |backoff| backoff.get()),
        avoids_tried: retries.retry_ignore_previous_hosts.unwrap_or(true),
        ..default
    };
    let named = retries.retry_on.as_deref().unwrap_or_default();
    if !named.is_empty() {
        policy.on.clear();
        for word in named.split(',').map(str::trim) {
            let condition = RETRY_CONDITIONS.iter().find(|(name, _)| *name == word).map(|(_, condition)| *condition);
            let status = word.parse::<u16>().ok();
            policy.status_codes.extend(status);
            policy.on.extend(condition.or(status.map(|_| RetryCondition::StatusCodes)));
        }
        policy.on.sort_unstable();
        policy.on.dedup();
    }
    policy
}

fn fault(fault: &resource::Fault) -> Fault {
    // A fault that says no share holds for none (Istio).
    let delay = fault.delay.as_ref().and_then(|delay| {
        let percent = f64::from(delay.percent.unwrap_or(0));
        let share = share_or(delay.percentage.as_ref(), Share::of_hundred(percent));
        Some((delay.fixed_delay?.get(), share))
    });
    let abort = fault.abort.as_ref().and_then(|abort| {
        let http = abort.http_status.and_then(|status| u16::try_from(status).ok()).map(AbortStatus::Http);
        let grpc = abort.grpc_status.as_deref().and_then(|name| GRPC_STATUSES.iter().position(|known| *known == name));
        let status = http.or(grpc.and_then(|number| u8::try_from(number).ok()).map(AbortStatus::Grpc))?;
        Some((status, share_or(abort.percentage.as_ref(), Share::of_million(0))))
    });
    Fault {
        delay: delay.filter(|(time, share)| *time > Duration::ZERO && share.millionths() > 0),
        abort: abort.filter(|(_, share)| share.millionths() > 0),
    }
}

fn rewrite(route: &HttpRoute) -> Option<Rewrite> {
    let asked = route.rewrite.as_ref();
    let authority = asked.and_then(|rewrite| rewrite.authority.as_deref()).filter(|authority| !authority.is_empty());
    let authority = authority.map(Into::into).or_else(|| authority_of(route.headers.as_ref()));
    let path = asked.and_then(|rewrite| match (&rewrite.uri, &rewrite.uri_regex_rewrite) {
        (Some(uri), _) if !uri.is_empty() => Some(PathRewrite::Matched(path_text(uri))),
        (_, Some(regex)) => {
            let pattern = regex.matches.as_ref()?.as_str();
            // Validation refuses what does not compile.
            Substitution::new(pattern, &path_text(regex.rewrite.as_deref()?)).ok().map(PathRewrite::Regex)
        }
        _ => None,
    });
    (authority.is_some() || path.is_some()).then_some(Rewrite { authority, path })
}

/// The authority that header changes of requests set: they are how it was rewritten before there was `rewrite`.
pub(super) fn authority_of(headers: Option<&Headers>) -> Option<Box<str>> {
    let changes = headers?.request.as_ref()?;
    let named = |(name, _): &(&String, &String)| name.eq_ignore_ascii_case("host") || *name == ":authority";
    let (_, value) = changes.set.iter().find(named).or_else(|| changes.add.iter().find(named))?;
    Some(value.as_str().into())
}

pub(super) fn header_edits(headers: Option<&Headers>) -> HeaderEdits {
    let changes = |changes: Option<&resource::HeaderChanges>| changes.map(header_changes).unwrap_or_default();
    HeaderEdits {
        request: changes(headers.and_then(|headers| headers.request.as_ref())),
        response: changes(headers.and_then(|headers| headers.response.as_ref())),
    }
}

fn header_changes(changes: &resource::HeaderChanges) -> HeaderChanges {
    let values = |values: &std::collections::BTreeMap<String, String>| {
        let lowered = values.iter().map(|(name, value)| (name.to_ascii_lowercase().into(), value.as_str().into()));
        lowered.filter(|(name, _): &(Box<str>, HeaderText)| HeaderChanges::permits(name)).collect()
    };
    let removed = changes.remove.iter().map(|name| name.to_ascii_lowercase());
    HeaderChanges {
        remove: removed.filter(|name: &String| HeaderChanges::permits(name)).map(Into::into).collect(),
        set: values(&changes.set),
        add: values(&changes.add),
    }
}

fn cors(policy: &CorsPolicy) -> Cors {
    let exact = |text: &String| crate::model::StringMatch::Exact(text.as_bytes().into());
    // An expression that does not compile permits nobody; validation has refused it before.
    let origins = policy.allow_origins.iter().filter_map(|origin| super::routes::string_match(origin, false).ok());
    let origins: Vec<_> = if policy.allow_origins.is_empty() {
        policy.allow_origin.iter().map(exact).collect()
    } else {
        origins.collect()
    };
    Cors {
        origins,
        methods: policy.allow_methods.join(",").into(),
        headers: policy.allow_headers.join(",").into(),
        expose: policy.expose_headers.join(",").into(),
        max_age: policy.max_age.map(|age| age.get().as_secs()),
        credentials: policy.allow_credentials == Some(true),
        forwards_unmatched: policy.unmatched_preflights != Some(UnmatchedPreflights::Ignore),
    }
}

pub(super) fn redirect(redirect: &resource::Redirect) -> Redirect {
    let text = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    let path = match (text(&redirect.uri), text(&redirect.prefix_rewrite)) {
        (Some(uri), _) => RedirectPath::Replace(path_text(&uri)),
        (None, Some(prefix)) => RedirectPath::Matched(path_text(&prefix)),
        (None, None) => RedirectPath::Keep,
    };
    let port = match (redirect.port, redirect.derive_port) {
        (Some(port), _) => RedirectPort::Number(port.get()),
        (None, Some(DerivePort::FromProtocolDefault)) => RedirectPort::ProtocolDefault,
        (None, Some(DerivePort::FromRequestPort)) => RedirectPort::Request,
        (None, None) => RedirectPort::Keep,
    };
    Redirect {
        path,
        authority: text(&redirect.authority).map(Into::into),
        port,
        scheme: text(&redirect.scheme).map(Into::into),
        status: redirect
            .redirect_code
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| *code != 0)
            .unwrap_or(301),
    }
}

pub(super) fn direct_response(response: &resource::DirectResponse) -> DirectResponse {
    let body = response.body.as_ref();
    let text = body.and_then(|body| body.string.clone()).map(Bytes::from);
    let bytes = || body.and_then(|body| BASE64_STANDARD.decode(body.bytes.as_deref()?).ok()).map(Bytes::from);
    DirectResponse {
        status: u16::try_from(response.status).unwrap_or(500),
        body: text.or_else(bytes).unwrap_or_default(),
    }
}

/// Text that becomes part of a path or a target: what a target cannot hold is percent-encoded.
pub(super) fn path_text(text: &str) -> Box<str> {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'#' {
            written.push(char::from(byte));
        } else {
            written.push_str(&format!("%{byte:02X}"));
        }
    }
    written.into()
}
