//! What an analysis found, in the forms that people and machines read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::codes::{CODES, Level};
use super::message::Message;

impl Message {
    /// `file:line`, where the object came from a file.
    pub fn reference(&self) -> Option<String> {
        self.source.as_ref().map(|source| format!("{}:{}", source.file, source.line))
    }

    /// One line, with the level as `level` shows it.
    pub fn line(&self, level: &str) -> String {
        let cluster = self.cluster.as_ref().map(|cluster| format!("[{cluster}] ")).unwrap_or_default();
        format!("{cluster}{level} {}", self.sentence())
    }

    /// Code, object, place and text, where the level is said otherwise.
    pub fn sentence(&self) -> String {
        let reference = self.reference().map(|reference| format!(" {reference}")).unwrap_or_default();
        format!("[{}] ({}{reference}) {}", self.code.id, self.resource(), self.text)
    }

    /// The fields that istioctl gives a message.
    pub fn to_json(&self) -> Value {
        let mut fields = BTreeMap::new();
        fields.insert("code", json!(self.code.id));
        fields.insert("level", json!(self.level().to_string()));
        fields.insert("message", json!(self.text));
        fields.insert("origin", json!(self.resource()));
        if let Some(documentation) = self.code.documentation() {
            fields.insert("documentationUrl", json!(documentation));
        }
        if let Some(reference) = self.reference() {
            fields.insert("reference", json!(reference));
        }
        if let Some(cluster) = &self.cluster {
            fields.insert("cluster", json!(cluster));
        }
        json!(fields)
    }
}

/// The messages as a SARIF log (version 2.1.0), which code scanners read.
pub fn sarif(messages: &[Message], version: &str) -> Value {
    let mut used: Vec<&str> = messages.iter().map(|message| message.code.id).collect();
    used.sort_unstable();
    used.dedup();
    let rules: Vec<Value> = CODES
        .iter()
        .filter(|code| used.contains(&code.id))
        .map(|code| {
            let mut rule = json!({
                "id": code.id,
                "name": code.name,
                "shortDescription": {"text": code.about},
                "defaultConfiguration": {"level": sarif_level(code.level)},
            });
            if let Some(documentation) = code.documentation() {
                rule["helpUri"] = json!(documentation);
            }
            rule
        })
        .collect();
    let results: Vec<Value> = messages
        .iter()
        .map(|message| {
            let mut location = json!({
                "logicalLocations": [{"fullyQualifiedName": message.resource(), "kind": "resource"}],
            });
            if let Some(source) = &message.source {
                location["physicalLocation"] = json!({
                    "artifactLocation": {"uri": &*source.file},
                    "region": {"startLine": source.line, "startColumn": source.column},
                });
            }
            json!({
                "ruleId": message.code.id,
                "level": sarif_level(message.level()),
                "message": {"text": message.text},
                "locations": [location],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "mesh", "version": version, "rules": rules}},
            "results": results,
        }],
    })
}

fn sarif_level(level: Level) -> &'static str {
    match level {
        Level::Info => "note",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

/// The messages as a JUnit report: one case for each object, which fails where a message reaches `threshold`. Without
/// messages, there is one case that passes.
pub fn junit(messages: &[Message], threshold: Level) -> String {
    let mut objects: BTreeMap<String, Vec<&Message>> = BTreeMap::new();
    for message in messages {
        objects.entry(message.resource()).or_default().push(message);
    }
    let failed = |messages: &[&Message]| messages.iter().any(|message| message.level() >= threshold);
    let failures = objects.values().filter(|messages| failed(messages)).count();
    let count = objects.len().max(1);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"mesh analyze\" tests=\"{count}\" failures=\"{failures}\">\n"
    );
    if objects.is_empty() {
        text.push_str("    <testcase classname=\"mesh.analyze\" name=\"configuration\"/>\n");
    }
    for (object, messages) in &objects {
        text.push_str(&format!("    <testcase classname=\"mesh.analyze\" name=\"{}\">\n", escaped(object)));
        let lines: Vec<String> = messages.iter().map(|message| message.line(&message.level().to_string())).collect();
        let lines = escaped(&lines.join("\n"));
        let first = messages.iter().max_by_key(|message| message.level()).map_or("", |message| message.code.id);
        if failed(messages) {
            text.push_str(&format!("      <failure type=\"{first}\" message=\"{first}\">{lines}</failure>\n"));
        } else {
            text.push_str(&format!("      <system-out>{lines}</system-out>\n"));
        }
        text.push_str("    </testcase>\n");
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// Text as XML holds it; characters that XML does not have are left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}
