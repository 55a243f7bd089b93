//! Telemetry.

use crate::resources::expression::Expression;
use crate::resources::field::Cx;
use crate::resources::policy_target::one_attachment;
use crate::resources::telemetry::{CustomTag, LogFilter, TagOperation, TagOverride, Telemetry, Tracing};

pub(in crate::resources) fn telemetry(telemetry: &Telemetry, cx: &mut Cx) {
    one_attachment(telemetry.selector.as_ref(), telemetry.target_ref.as_ref(), &telemetry.target_refs, cx);
    if telemetry.tracing.len() > 1 {
        cx.warn_at("tracing", "has more than one entry, and only the first has an effect: remove the others");
    }
}

pub(in crate::resources) fn tracing(tracing: &Tracing, cx: &mut Cx) {
    if tracing.providers.len() > 1 {
        cx.warn_at("providers", "has more than one entry, and only the first has an effect: remove the others");
    }
}

pub(in crate::resources) fn custom_tag(tag: &CustomTag, cx: &mut Cx) {
    if tag.literal.is_none() && tag.environment.is_none() && tag.header.is_none() && tag.formatter.is_none() {
        cx.error("says nothing about its value: set literal, environment, header or formatter");
    }
}

pub(in crate::resources) fn log_filter(filter: &LogFilter, cx: &mut Cx) {
    let Some(expression) = filter.expression.as_deref().filter(|text| !text.is_empty()) else { return };
    if let Err(error) = Expression::parse(expression) {
        cx.warn_at("expression", format!("is not in force, and every request is logged: {error}"));
    }
}

pub(in crate::resources) fn tag_override(tag: &TagOverride, cx: &mut Cx) {
    let empty = tag.value.as_deref().unwrap_or_default().is_empty();
    match tag.operation.unwrap_or(TagOperation::Upsert) {
        TagOperation::Upsert if empty => cx.error_at("value", "is required with UPSERT: say what the label is set to"),
        TagOperation::Remove if tag.value.is_some() => cx.error_at("value", "has no use with REMOVE: remove it"),
        TagOperation::Upsert => {
            if let Err(error) = Expression::parse_value(tag.value.as_deref().unwrap_or_default()) {
                cx.warn_at("value", format!("is not in force, and the label is `unknown`: {error}"));
            }
        }
        TagOperation::Remove => {}
    }
}
