use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::*;
use crate::yaml;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/upstream/analyzers")
}

fn read(file: &str, cluster: Option<&Arc<str>>) -> Vec<Object> {
    let bytes = std::fs::read(folder().join(file)).unwrap();
    let loaded = yaml::load(file, &bytes);
    loaded.documents.into_iter().flat_map(|document| Object::of_document(document, "", cluster)).collect()
}

fn counted(pairs: impl IntoIterator<Item = (String, String)>) -> BTreeMap<(String, String), usize> {
    let mut counted = BTreeMap::new();
    for pair in pairs {
        *counted.entry(pair).or_default() += 1;
    }
    counted
}

#[test]
fn upstreams_cases_give_the_same_messages() {
    let Ok(cases) = std::fs::read(folder().join("cases.json")) else { return };
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    assert_eq!(cases.len(), 105);
    let mut wrong = Vec::new();
    for case in &cases {
        let text = |field: &str| case[field].as_str().unwrap_or_default();
        let files = |field: &str| -> Vec<String> {
            case[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut objects = installation("istio-system");
        objects.extend(files("inputFiles").iter().flat_map(|file| read(file, None)));
        for (number, field) in ["cluster1InputFiles", "cluster2InputFiles"].into_iter().enumerate() {
            let cluster: Arc<str> = format!("cluster{}", number + 1).into();
            objects.extend(files(field).iter().flat_map(|file| read(file, Some(&cluster))));
        }
        let options = Options { default_namespace: String::new(), ..Options::default() };
        let mut snapshot = Snapshot::new(options, objects);
        let setting = |field: &str| {
            let file = case[field].as_str()?;
            parsed(&std::fs::read_to_string(folder().join(file)).unwrap())
        };
        if let Some(mesh) = setting("meshConfigFile") {
            snapshot = snapshot.with_mesh_config(mesh);
        }
        if let Some(networks) = setting("meshNetworksFile") {
            snapshot = snapshot.with_mesh_networks(networks);
        }
        let analyzer = ANALYZERS.iter().find(|known| known.name == text("analyzer"));
        let Some(analyzer) = analyzer else { panic!("no analyzer {}", text("analyzer")) };
        let ours = counted(analyze(&snapshot, [analyzer]).iter().map(|m| (m.code.id.to_owned(), m.resource())));
        let expected = case["expected"].as_array().into_iter().flatten();
        let theirs = counted(
            expected
                .map(|one| (one["code"].as_str().unwrap().to_owned(), one["resource"].as_str().unwrap().to_owned())),
        );
        if ours != theirs {
            let missing: Vec<_> = theirs.iter().filter(|(key, count)| ours.get(key) != Some(count)).collect();
            let extra: Vec<_> = ours.iter().filter(|(key, count)| theirs.get(key) != Some(count)).collect();
            wrong.push(format!(
                "{} ({}, {:?})\n  expected {missing:?}\n  got {extra:?}",
                text("name"),
                text("analyzer"),
                files("inputFiles")
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn codes_and_analyzers_have_names_of_their_own() {
    let mut ids: Vec<&str> = CODES.iter().map(|code| code.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), CODES.len());
    // Three of Istio's 68 codes are said by nobody.
    assert_eq!(ids.iter().filter(|id| id.starts_with("IST")).count(), 65);
    let mut names: Vec<&str> = ANALYZERS.iter().map(|analyzer| analyzer.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ANALYZERS.len());
}
