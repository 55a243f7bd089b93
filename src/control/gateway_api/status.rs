//! Laying what the mesh has to say over a status that others write as well.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::compile::gateway_api::CONTROLLER;
use crate::compile::gateway_api::status::Said;
use crate::kube::{self, Connection, Error, ObjectRef};

/// Writes what is said of an object, unless its status says so already. An object that is gone needs nothing said.
pub(super) async fn write(
    connection: &Connection,
    object: &ObjectRef,
    said: &Said,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(found) = kube::get(connection, object).await? else { return Ok(()) };
    let before = found.get("status").cloned().unwrap_or_else(|| json!({}));
    if concerns_others(&before, &said.status) {
        return Ok(());
    }
    let after = merged(&before, &said.status, &now.to_string());
    if after != before {
        // Somebody may have written meanwhile; then it is looked at again.
        let version = at(at(&found, "metadata"), "resourceVersion");
        let change = json!({"metadata": {"resourceVersion": version}, "status": after});
        kube::merge_status(connection, object, &change).await?;
    }
    Ok(())
}

/// Whether the mesh has nothing to say of a route, and has said nothing before.
fn concerns_others(before: &Value, said: &Value) -> bool {
    ["parents", "ancestors"].into_iter().any(|field| {
        said.get(field).is_some_and(|said| items(said).is_empty())
            && !items(at(before, field)).iter().any(|known| at(known, "controllerName") == CONTROLLER)
    })
}

/// A status with what the mesh says in it.
fn merged(before: &Value, said: &Value, now: &str) -> Value {
    let mut after = if before.is_object() { before.clone() } else { json!({}) };
    for (field, said) in said.as_object().into_iter().flatten() {
        let known = at(before, field);
        let with_times = match field.as_str() {
            "conditions" => conditions(known, said, now, true),
            "listeners" => listeners(known, said, now),
            "parents" => references(known, said, "parentRef", now),
            "ancestors" => references(known, said, "ancestorRef", now),
            _ => said.clone(),
        };
        set(&mut after, field, with_times);
    }
    after
}

fn at<'v>(object: &'v Value, field: &str) -> &'v Value {
    object.get(field).unwrap_or(&Value::Null)
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The conditions with the time since when each holds; those of types that the mesh does not speak of stay where `keeps_others`.
fn conditions(before: &Value, said: &Value, now: &str, keeps_others: bool) -> Value {
    let with_time = |condition: &Value| {
        let known = items(before).iter().find(|known| at(known, "type") == at(condition, "type"));
        let since = known
            .filter(|known| at(known, "status") == at(condition, "status"))
            .map(|known| at(known, "lastTransitionTime"));
        let mut condition = condition.clone();
        let since = since.filter(|since| since.is_string()).cloned().unwrap_or_else(|| now.into());
        set(&mut condition, "lastTransitionTime", since);
        condition
    };
    let is_said = |known: &&Value| items(said).iter().any(|condition| at(condition, "type") == at(known, "type"));
    let others = items(before).iter().filter(|known| keeps_others && !is_said(known)).cloned();
    items(said).iter().map(with_time).chain(others).collect()
}

fn listeners(before: &Value, said: &Value, now: &str) -> Value {
    let with_times = |listener: &Value| {
        let known =
            items(before).iter().find(|known| at(known, "name") == at(listener, "name")).unwrap_or(&Value::Null);
        let mut listener = listener.clone();
        let with_times = conditions(at(known, "conditions"), at(&listener, "conditions"), now, false);
        set(&mut listener, "conditions", with_times);
        listener
    };
    items(said).iter().map(with_times).collect()
}

/// What others say of the objects that a route or policy is about stays; what the mesh said before of objects that it is about no
/// longer goes. `named`: the field that says which object is meant.
fn references(before: &Value, said: &Value, named: &str, now: &str) -> Value {
    let own = |known: &&Value| at(known, "controllerName") == CONTROLLER;
    let with_times = |parent: &Value| {
        let mut known = items(before).iter().filter(own);
        let known = known.find(|known| at(known, named) == at(parent, named)).unwrap_or(&Value::Null);
        let mut parent = parent.clone();
        let with_times = conditions(at(known, "conditions"), at(&parent, "conditions"), now, false);
        set(&mut parent, "conditions", with_times);
        parent
    };
    let others = items(before).iter().filter(|known| !own(known)).cloned();
    others.chain(items(said).iter().map(with_times)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_until_it_changes() {
        let said = |status: &str| json!({"conditions": [{"type": "Accepted", "status": status, "reason": "A"}]});
        let first = merged(&json!({}), &said("True"), "t1");
        assert_eq!(first["conditions"][0]["lastTransitionTime"], "t1");
        assert_eq!(merged(&first, &said("True"), "t2"), first);
        let changed = merged(&first, &said("False"), "t2");
        assert_eq!(changed["conditions"][0]["lastTransitionTime"], "t2");
    }

    #[test]
    fn what_other_controllers_say_stays() {
        let other = json!({"controllerName": "example.com/c", "parentRef": {"name": "a"}, "conditions": []});
        let gone = json!({"controllerName": CONTROLLER, "parentRef": {"name": "gone"}, "conditions": []});
        let own = json!({
            "controllerName": CONTROLLER, "parentRef": {"name": "b"},
            "conditions": [{"type": "Accepted", "status": "True"}],
        });
        let before = json!({"parents": [other, gone]});
        let after = merged(&before, &json!({"parents": [own]}), "t1");
        assert_eq!(after["parents"][0], other);
        assert_eq!(after["parents"][1]["conditions"][0]["lastTransitionTime"], "t1");
        assert_eq!(after["parents"].as_array().map(Vec::len), Some(2));
        // A parent that is gone is taken back, and a route of others' is not touched.
        let nothing = json!({"parents": []});
        assert!(!concerns_others(&after, &nothing));
        assert_eq!(merged(&after, &nothing, "t2")["parents"], json!([other]));
        assert!(concerns_others(&json!({"parents": [other]}), &nothing) && concerns_others(&json!({}), &nothing));
    }
}
