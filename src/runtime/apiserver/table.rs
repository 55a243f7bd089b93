//! Tables for `kubectl get`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::columns::{age, at, since, string};
use super::registry::{CustomColumn, Resource, Version};

/// A table of rows.
pub(super) fn table(
    resource: &Resource,
    version: &str,
    rows: Vec<Value>,
    heads: bool,
    resource_version: &str,
) -> Value {
    let columns = if heads { definitions(resource, version) } else { Vec::new() };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": resource_version},
        "columnDefinitions": columns,
        "rows": rows,
    })
}

/// Events begin with when they were last seen, not with their names.
fn has_name(resource: &Resource) -> bool {
    resource.builtin.is_none_or(|builtin| builtin.kind != "Event")
}

fn definition(name: &str, kind: &str, format: &str, priority: i64, description: &str) -> Value {
    json!({
        "name": name, "type": kind, "format": format, "priority": priority, "description": description,
    })
}

fn definitions(resource: &Resource, version: &str) -> Vec<Value> {
    let mut all = Vec::new();
    if has_name(resource) {
        all.push(definition("Name", "string", "name", 0, "Name of the object"));
    }
    if let Some(builtin) = resource.builtin {
        for column in builtin.printer.columns {
            let format = if column.name == "Name" { "name" } else { "" };
            all.push(definition(column.name, column.kind, format, column.priority, column.name));
        }
        return all;
    }
    match resource.version(version) {
        Some(version) if !version.columns.is_empty() => {
            for column in &version.columns {
                let CustomColumn { name, kind, format, description, priority, path } = column;
                let described = match description.is_empty() {
                    true => format!("Custom resource definition column (in JSONPath format): {path}"),
                    false => description.clone(),
                };
                all.push(definition(name, kind, format, *priority, &described));
            }
        }
        _ => all.push(definition("Age", "date", "", 0, "Time since creation")),
    }
    all
}

/// The cells of an object.
pub(super) fn cells(resource: &Resource, version: &str, object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = Vec::new();
    if has_name(resource) {
        cells.push(at(object, "/metadata/name"));
    }
    if let Some(builtin) = resource.builtin {
        cells.extend((builtin.printer.row)(object, now));
        return cells;
    }
    match resource.version(version) {
        Some(Version { columns, .. }) if !columns.is_empty() => {
            cells.extend(columns.iter().map(|column| custom(column, object, now)));
        }
        _ => cells.push(age(object, now)),
    }
    cells
}

fn custom(column: &CustomColumn, object: &Value, now: Timestamp) -> Value {
    let found = select(object, &column.path);
    if column.kind == "date" {
        return match found.as_slice() {
            [Value::String(time)] => since(time, now),
            _ => "<unknown>".into(),
        };
    }
    match (column.kind.as_str(), found.as_slice()) {
        (_, []) => Value::Null,
        ("integer" | "number" | "boolean", [one]) => (*one).clone(),
        (_, [Value::String(text)]) => text.as_str().into(),
        (_, [one]) => one.to_string().into(),
        (_, many) => {
            let texts: Vec<String> = many
                .iter()
                .map(|value| match value {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                })
                .collect();
            texts.join(",").into()
        }
    }
}

/// Evaluates the simple JSON paths that definitions use: fields, `['quoted']`, `[index]`, `[*]` and `[?(@.field=="text")]`.
fn select<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![object];
    let mut rest = path.trim().trim_matches(|c| c == '{' || c == '}');
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let Some((step, after)) = bracket(inside) else {
                return Vec::new();
            };
            rest = after;
            found = found.into_iter().flat_map(|v| bracketed(v, step)).collect();
            continue;
        }
        rest = rest.trim_start_matches('.');
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        rest = after;
        if name.is_empty() {
            continue;
        }
        found = found
            .into_iter()
            .flat_map(|value| match (name, value) {
                ("*", Value::Array(items)) => items.iter().collect(),
                (name, value) => value.get(name).into_iter().collect::<Vec<_>>(),
            })
            .collect();
    }
    found.retain(|value| !value.is_null());
    found
}

/// Splits after the bracket that closes; quotes hide brackets.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (index, c) in text.char_indices() {
        match (quote, c) {
            (None, ']') => return Some((text.get(..index)?, text.get(index + 1..)?)),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

fn bracketed<'a>(value: &'a Value, step: &str) -> Vec<&'a Value> {
    let step = step.trim();
    if step == "*" {
        return value.as_array().map(|items| items.iter().collect()).unwrap_or_default();
    }
    if let Ok(index) = step.parse::<usize>() {
        return value.get(index).into_iter().collect();
    }
    let quoted = step.trim_matches(|c| c == '\'' || c == '"');
    if quoted.len() < step.len() {
        return value.get(quoted).into_iter().collect();
    }
    let Some(filter) = step.strip_prefix("?(").and_then(|s| s.strip_suffix(')')) else {
        return Vec::new();
    };
    let Some((field, wanted)) = filter.split_once("==") else {
        return Vec::new();
    };
    let field = field.trim().trim_start_matches("@.");
    let wanted = wanted.trim().trim_matches(|c| c == '\'' || c == '"');
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter(|item| string(item, &format!("/{}", field.replace('.', "/"))) == wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_by_path() {
        let object = json!({"spec": {"hosts": ["a", "b"], "x.y": 1, "c": [{"type": "Ready", "status": "True"}]}});
        let one = |path: &str| -> Vec<String> { select(&object, path).iter().map(|v| v.to_string()).collect() };
        assert_eq!(one(".spec.hosts"), [r#"["a","b"]"#]);
        assert_eq!(one(".spec.hosts[*]"), [r#""a""#, r#""b""#]);
        assert_eq!(one(".spec.hosts[1]"), [r#""b""#]);
        assert_eq!(one(".spec['x.y']"), ["1"]);
        assert_eq!(one(r#".spec.c[?(@.type=="Ready")].status"#), [r#""True""#]);
        assert!(one(".spec.none.more").is_empty());
        assert!(one(".spec.hosts[").is_empty());
    }
}
