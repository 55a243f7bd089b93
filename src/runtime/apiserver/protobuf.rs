//! Bodies in protobuf, as kubectl's `create` commands and other programs of Kubernetes' own libraries send them.
//!
//! Answers are always JSON, which every client that sends protobuf accepts. Of the kinds, those of the table of types are read. A
//! field that the table does not have is refused by the name of its message and its number, never dropped.

use serde_json::{Map, Value};

use super::failure::Failure;
use super::types::{self, Field, Form, Layer, Shape, Type};

/// What a protobuf body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Deepest nesting of messages.
const DEPTH: usize = 24;

/// The object in a body.
pub(super) fn parse(body: &[u8]) -> Result<Value, Failure> {
    let wrong = |why: String| Failure::bad_request(format!("the body is not a protobuf object: {why}"));
    let envelope = body.strip_prefix(MAGIC).ok_or_else(|| wrong("it does not begin with k8s".to_owned()))?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(envelope) {
        match field.map_err(wrong)? {
            (1, Wire::Bytes(types)) => {
                for field in Fields(types) {
                    match field.map_err(wrong)? {
                        (1, Wire::Bytes(text)) => api_version = text_of(text).map_err(wrong)?,
                        (2, Wire::Bytes(text)) => kind = text_of(text).map_err(wrong)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version.as_str()));
    // Options have the version of what they are sent with.
    let found = types::of_kind(group, version, &kind).or_else(|| types::get(&format!("meta.v1.{kind}")));
    let found = found.ok_or_else(|| Failure::unsupported_media_type("application/json, application/yaml"))?;
    let mut object = Map::new();
    read(found, "", raw, DEPTH, &mut object).map_err(wrong)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(object.into())
}

/// Reads the fields of a message into `map`. `place` is empty, or the number of a message in it whose fields are its own in JSON,
/// with a dot.
fn read(found: &Type, place: &str, bytes: &[u8], depth: usize, map: &mut Map<String, Value>) -> Result<(), String> {
    let depth = depth.checked_sub(1).ok_or("it is nested too deeply")?;
    for item in Fields(bytes) {
        let (number, value) = item?;
        let number = format!("{place}{number}");
        if let Some(field) = found.fields.iter().find(|field| field.number == number) {
            read_field(found, field, &value, depth, map)?;
            continue;
        }
        let inner = format!("{number}.");
        match value {
            Wire::Bytes(bytes) if found.fields.iter().any(|field| field.number.starts_with(&inner)) => {
                read(found, &inner, bytes, depth, map)?;
            }
            _ => return Err(format!("field {number} of {} cannot be read: send JSON instead", found.short_name())),
        }
    }
    Ok(())
}

fn read_field(
    owner: &Type,
    field: &Field,
    value: &Wire<'_>,
    depth: usize,
    map: &mut Map<String, Value>,
) -> Result<(), String> {
    let place = || format!("{}.{}", owner.short_name(), field.name);
    match (field.shape.layer(), value) {
        (Layer::List(items), value) => {
            let value = read_value(items, value, true, depth, &place)?;
            let list = map.entry(field.name).or_insert_with(|| Value::Array(Vec::new()));
            if let (Some(list), Some(value)) = (list.as_array_mut(), value) {
                list.push(value);
            }
        }
        (Layer::Map(values), Wire::Bytes(bytes)) => {
            let (key, content) = pair(bytes)?;
            let content = read_value(values, &Wire::Bytes(content), true, depth, &place)?;
            let entries = map.entry(field.name).or_insert_with(|| Map::new().into());
            if let (Some(entries), Some(content)) = (entries.as_object_mut(), content) {
                entries.insert(key, content);
            }
        }
        (Layer::Map(_), Wire::Number(_)) => return Err(format!("{} has another type", place())),
        (Layer::One(_), value) => {
            let zero_counts = field.pointer || field.required;
            if let Some(value) = read_value(field.shape, value, zero_counts, depth, &place)? {
                map.insert(field.name.to_owned(), value);
            }
        }
    }
    Ok(())
}

/// One value. Kubernetes' messages carry fields that are not set as empty ones, so those count as absent unless `zero_counts`.
fn read_value(
    shape: Shape,
    value: &Wire<'_>,
    zero_counts: bool,
    depth: usize,
    place: &dyn Fn() -> String,
) -> Result<Option<Value>, String> {
    let form = match shape.layer() {
        Layer::One(form) => form,
        // A list in a map is a message of its own.
        Layer::List(items) => {
            let Wire::Bytes(bytes) = value else { return Err(format!("{} has another type", place())) };
            let mut all = Vec::new();
            for item in Fields(bytes) {
                all.extend(read_value(items, &item?.1, true, depth, place)?);
            }
            return Ok(Some(all.into()));
        }
        Layer::Map(_) => return Err(format!("{} cannot be read: send JSON instead", place())),
    };
    let read = match (form, value) {
        (Form::Text, Wire::Bytes(text)) => (zero_counts || !text.is_empty()).then_some(text_of(text)?.into()),
        (Form::Int32 | Form::Int64, Wire::Number(number)) => {
            (zero_counts || *number != 0).then(|| number.cast_signed().into())
        }
        (Form::Boolean, Wire::Number(number)) => (zero_counts || *number != 0).then(|| (*number != 0).into()),
        (Form::Bytes, Wire::Bytes(bytes)) => serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec())).ok(),
        (Form::Named(name), Wire::Bytes(bytes)) => match (name, types::get(name)) {
            ("meta.v1.Time" | "meta.v1.MicroTime", _) => time(bytes)?,
            ("intstr.IntOrString", _) => int_or_text(bytes, zero_counts)?,
            ("resource.Quantity", _) => Some(text_of(only(bytes)?)?.into()),
            ("runtime.RawExtension" | "apiextensions.v1.JSON" | "meta.v1.FieldsV1", _) => {
                Some(serde_json::from_slice(only(bytes)?).map_err(|error| format!("{}: {error}", place()))?)
            }
            (_, Some(found)) if found.alias.is_none() => {
                let mut map = Map::new();
                read(found, "", bytes, depth, &mut map)?;
                Some(map.into())
            }
            _ => return Err(format!("{} cannot be read: send JSON instead", place())),
        },
        _ => return Err(format!("{} has another type", place())),
    };
    Ok(read)
}

fn text_of(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a text is not UTF-8".to_owned())
}

/// One entry of a map.
fn pair(bytes: &[u8]) -> Result<(String, &[u8]), String> {
    let (mut key, mut value) = (String::new(), &[][..]);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(bytes)) => key = text_of(bytes)?,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

/// A number or a text; a number that is zero where zero means "not set" is none.
fn int_or_text(bytes: &[u8], zero_counts: bool) -> Result<Option<Value>, String> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(bytes)) => text = text_of(bytes)?,
            _ => {}
        }
    }
    Ok(match (is_text, number) {
        (true, _) => Some(text.into()),
        (false, 0) if !zero_counts => None,
        (false, number) => Some(number.into()),
    })
}

/// A time; none where it is not set.
fn time(bytes: &[u8]) -> Result<Option<Value>, String> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(value)) => seconds = value.cast_signed(),
            (2, Wire::Number(value)) => nanos = i32::try_from(value.cast_signed()).unwrap_or_default(),
            _ => {}
        }
    }
    let time = jiff::Timestamp::new(seconds, nanos).map_err(|error| error.to_string())?;
    Ok((time != jiff::Timestamp::UNIX_EPOCH).then(|| time.to_string().into()))
}

/// The bytes of the one field that some types have.
fn only(bytes: &[u8]) -> Result<&[u8], String> {
    for field in Fields(bytes) {
        if let (1, Wire::Bytes(content)) = field? {
            return Ok(content);
        }
    }
    Ok(&[])
}

/// A value on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message: number and value.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or_else(|| "it is cut short".to_owned());
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend_from_slice(content);
        out
    }

    fn object(version: &[u8], kind: &[u8], content: &[u8]) -> Vec<u8> {
        let types = [field(1, version), field(2, kind)].concat();
        [MAGIC.to_vec(), field(1, &types), field(2, content)].concat()
    }

    fn namespace(metadata: &[u8]) -> Vec<u8> {
        object(b"v1", b"Namespace", &field(1, metadata))
    }

    #[test]
    fn a_zero_counts_where_it_is_said_and_an_empty_message_where_it_is_a_pointer() {
        // replicas: 0 (a pointer), minReadySeconds: 0 (none), rollingUpdate.maxSurge: 0 (a pointer) and an emptyDir without settings.
        let volume = [field(1, b"work"), field(2, &field(2, b""))].concat();
        let template = field(2, &field(1, &volume));
        let strategy = [field(1, b""), field(2, &field(2, &[8, 0, 16, 0]))].concat();
        let spec = [vec![8, 0], field(3, &template), field(4, &strategy), vec![5 << 3, 0]].concat();
        assert_eq!(
            parse(&object(b"apps/v1", b"Deployment", &field(2, &spec))).unwrap()["spec"],
            json!({
                "replicas": 0, "strategy": {"rollingUpdate": {"maxSurge": 0}},
                "template": {"spec": {"volumes": [{"name": "work", "emptyDir": {}}]}},
            })
        );
    }

    #[test]
    fn quantities_and_embedded_messages_are_read() {
        let hard = field(1, &[field(1, b"pods"), field(2, &field(1, b"4"))].concat());
        assert_eq!(
            parse(&object(b"v1", b"ResourceQuota", &field(2, &hard))).unwrap()["spec"],
            json!({"hard": {"pods": "4"}})
        );
        let reference = [field(1, &field(1, b"password")), field(2, b"word")].concat();
        let variable = [field(1, b"WORD"), field(3, &field(4, &reference))].concat();
        let container = [field(1, b"main"), field(7, &variable)].concat();
        assert_eq!(
            parse(&object(b"v1", b"Pod", &field(2, &field(2, &container)))).unwrap()["spec"]["containers"][0]["env"],
            json!([{"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "password", "key": "word"}}}])
        );
    }

    #[test]
    fn reads_a_namespace_and_refuses_what_it_does_not_know() {
        let label = field(11, &[field(1, b"a"), field(2, b"b")].concat());
        let body = namespace(&[field(1, b"shop"), field(2, b""), label].concat());
        assert_eq!(
            parse(&body).unwrap(),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}})
        );
        let unknown = parse(&namespace(&[1 << 3, 5])).unwrap_err();
        assert!(unknown.message.contains("ObjectMeta.name has another type"), "{}", unknown.message);
        let unknown = parse(&namespace(&field(15, b"x"))).unwrap_err();
        assert!(unknown.message.contains("field 15 of ObjectMeta"), "{}", unknown.message);
        for cut in 0..body.len() {
            // Any prefix is refused or read, never a panic.
            let _ = parse(&body[..cut]);
        }
    }
}
