//! Rules of single fields as tables: what a field may hold where no other field has a say, in Kubernetes' words.
//!
//! A path is relative to the object that its table is for; `[]` stands for every element of a list. A rule is asked where the
//! object around the field is there.

use std::net::IpAddr;

use serde_json::Value;

use super::super::failure::Cause;
use super::{CONFIG_KEY, LABEL_1123, SUBDOMAIN, is_config_key, is_label_of_any_length, is_subdomain};

/// A field and its rule. A field may have several, which are asked in their order.
pub(super) type Field = (&'static str, Rule);

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// Something.
    Needed,
    /// A number that is not negative.
    Natural,
    /// A number of a range, both ends included.
    Between(i64, i64),
    /// The number of a port; nothing is 0.
    Port,
    /// The number of a port or the name of one; nothing is 0.
    PortOrName,
    /// The name of a port.
    PortName,
    /// Permissions of a file.
    Mode,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// An RFC 1123 label.
    Label,
    /// An RFC 1123 subdomain.
    Subdomain,
    /// The same, and nothing is none.
    SubdomainNeeded,
    /// A key of a ConfigMap or Secret.
    Key,
    /// The name of an environment variable.
    Variable,
    /// A path that stays below where it starts.
    Below,
    /// A path without `..`.
    NoParent,
    /// An IP address.
    Address,
    /// A text without blanks around it.
    Trimmed,
}

/// Asks every rule of a table about `object`, which is at `path`.
pub(super) fn check(object: &Value, path: &str, table: &[Field], causes: &mut Vec<Cause>) {
    for (field, rule) in table {
        walk(object, path, field, *rule, causes);
    }
}

fn walk(object: &Value, path: &str, field: &str, rule: Rule, causes: &mut Vec<Cause>) {
    match field.split_once('.') {
        Some((step, rest)) => match step.strip_suffix("[]") {
            Some(list) => {
                for (index, element) in object[list].as_array().into_iter().flatten().enumerate() {
                    walk(element, &format!("{path}.{list}[{index}]"), rest, rule, causes);
                }
            }
            None if object[step].is_object() => walk(&object[step], &format!("{path}.{step}"), rest, rule, causes),
            None => {}
        },
        None => match field.strip_suffix("[]") {
            Some(list) => {
                for (index, element) in object[list].as_array().into_iter().flatten().enumerate() {
                    ask(element, &format!("{path}.{list}[{index}]"), rule, causes);
                }
            }
            None => ask(&object[field], &format!("{path}.{field}"), rule, causes),
        },
    }
}

fn ask(value: &Value, path: &str, rule: Rule, causes: &mut Vec<Cause>) {
    let text = value.as_str().unwrap_or_default();
    let nothing = match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(_) => false,
        value => value.is_null() || value == "",
    };
    let mut invalid = |why: &str| causes.push(Cause::invalid(path, value, why));
    match rule {
        Rule::Needed if nothing => causes.push(Cause::required(path, "")),
        Rule::Port if !is_port(value) => {
            let number = if nothing { 0.into() } else { value.clone() };
            causes.push(Cause::invalid(path, &number, PORT));
        }
        Rule::PortOrName if value.is_string() => port_name(text).into_iter().for_each(invalid),
        Rule::PortOrName => ask(value, path, Rule::Port, causes),
        Rule::SubdomainNeeded if !is_subdomain(text) => causes.push(Cause::invalid(path, &text.into(), SUBDOMAIN)),
        _ if nothing => {}
        Rule::Natural if value.as_i64().is_some_and(|number| number < 0) => {
            invalid("must be greater than or equal to 0");
        }
        Rule::Between(least, most) if value.as_i64().is_some_and(|number| !(least..=most).contains(&number)) => {
            invalid(&format!("must be between {least} and {most}, inclusive"));
        }
        Rule::Mode if value.as_i64().is_some_and(|mode| !(0..=0o777).contains(&mode)) => {
            invalid("must be a number between 0 and 0777 (octal), both inclusive");
        }
        Rule::PortName => port_name(text).into_iter().for_each(invalid),
        Rule::OneOf(known) if !known.contains(&text) => {
            let known: Vec<String> = known.iter().map(|one| (*one).to_owned()).collect();
            causes.push(Cause::unsupported(path, value, &known));
        }
        Rule::Label => label(text).into_iter().for_each(&mut invalid),
        Rule::Subdomain if !is_subdomain(text) => invalid(SUBDOMAIN),
        Rule::Key if !is_config_key(text) => invalid(CONFIG_KEY),
        Rule::Variable if !text.bytes().all(|c| (b' '..=b'~').contains(&c) && c != b'=') => {
            invalid("a valid environment variable name must consist only of printable ASCII characters other than '='");
        }
        Rule::Below if text.starts_with('/') => invalid("must be a relative path"),
        Rule::Below | Rule::NoParent if text.split('/').any(|step| step == "..") => invalid("must not contain '..'"),
        Rule::Address if text.parse::<IpAddr>().is_err() => {
            invalid("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
        }
        Rule::Trimmed if text.trim() != text => invalid("must not have leading or trailing whitespace"),
        _ => {}
    }
}

const PORT: &str = "must be between 1 and 65535, inclusive";

fn is_port(value: &Value) -> bool {
    value.as_i64().is_some_and(|port| (1..=65535).contains(&port))
}

/// What is wrong with a label: nothing or one thing.
pub(super) fn label(text: &str) -> Option<&'static str> {
    match text {
        text if text.contains('.') => Some("must not contain dots"),
        text if text.len() > 63 => Some("must be no more than 63 characters"),
        text if !is_label_of_any_length(text) => Some(LABEL_1123),
        _ => None,
    }
}

/// What is wrong with the name of a port.
fn port_name(text: &str) -> Vec<&'static str> {
    let wrong = [
        (text.len() > 15, "must be no more than 15 characters"),
        (
            !text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (!text.bytes().any(|c| c.is_ascii_lowercase()), "must contain at least one letter (a-z)"),
        (text.contains("--"), "must not contain consecutive hyphens"),
        (text.starts_with('-') || text.ends_with('-'), "must not begin or end with a hyphen"),
    ];
    wrong.into_iter().filter(|(wrong, _)| *wrong).map(|(_, why)| why).collect()
}
