//! The house keeps its order: a room imports only rooms on floors below its own.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms and their floors, from the ground up. Rooms on one floor do not know each other.
const FLOORS: &[(&str, u8)] = &[
    ("yaml", 0),
    ("identity", 0),
    ("net", 0),
    ("resources", 1),
    ("tls", 1),
    ("telemetry", 1),
    ("serve", 1),
    ("model", 2),
    ("compile", 3),
    ("kube", 3),
    ("wire", 3),
    ("analyze", 4),
    ("proxy", 4),
    ("inject", 4),
    ("install", 4),
    ("control", 5),
    ("runtime", 6),
    ("cli", 7),
];

/// The one module that may hold `unsafe`.
const UNSAFE_ALLOWED: &str = "net/sys.rs";

const MAX_LINES: usize = 1_000;

fn sources() -> Vec<(PathBuf, String)> {
    fn collect(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &mut found);
    found.iter_mut().for_each(|(path, _)| *path = path.strip_prefix(&root).unwrap().to_owned());
    found
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// Rooms that a source names: `crate::room`, and `crate::{room, other::…}`.
fn imported(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (index, _) in text.match_indices("crate::") {
        if text[..index].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '$') {
            continue;
        }
        let rest = &text[index + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => group.split_once("};").map_or(group, |(group, _)| group),
            None => rest,
        };
        let mut depth = 0;
        let mut at_start = true;
        let mut name = String::new();
        for character in names.chars() {
            match character {
                'a'..='z' | '_' | '0'..='9' if at_start && depth == 0 => name.push(character),
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    rooms.push(std::mem::take(&mut name));
                    at_start = true;
                    continue;
                }
                character if character.is_whitespace() && name.is_empty() => continue,
                _ => at_start = false,
            }
            if rest.as_bytes().first() != Some(&b'{') && !at_start {
                break;
            }
        }
        rooms.push(name);
    }
    rooms.retain(|room| floor(room).is_some());
    rooms
}

#[test]
fn rooms_import_only_rooms_below() {
    let mut upwards = Vec::new();
    for (path, text) in sources() {
        let room = path.iter().next().unwrap().to_str().unwrap();
        let Some(own) = floor(room) else { continue };
        for other in imported(&text) {
            if other != room && floor(&other).unwrap() >= own {
                upwards.push(format!("{}: {room} (floor {own}) imports {other}", path.display()));
            }
        }
    }
    assert!(upwards.is_empty(), "imports that go up or sideways:\n{}", upwards.join("\n"));
}

#[test]
fn every_room_is_on_a_floor() {
    for (path, _) in sources() {
        let room = path.iter().next().unwrap().to_str().unwrap();
        assert!(floor(room).is_some() || matches!(room, "lib.rs" | "main.rs"), "{room} is on no floor");
    }
}

#[test]
fn files_stay_readable_and_unsafe_stays_in_its_module() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        let generated = path.starts_with("wire/gen");
        assert!(generated || lines <= MAX_LINES, "{} has {lines} lines", path.display());
        let holds_unsafe = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or_default();
            code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("allow(unsafe_code)")
        });
        assert!(!holds_unsafe || path == Path::new(UNSAFE_ALLOWED), "{} holds unsafe code", path.display());
    }
}

#[test]
fn grouped_and_nested_imports_are_seen() {
    let text = "use crate::{model::{Routes, route}, yaml}; use crate::proxy::listener; fn f() { crate::tls::x() }";
    assert_eq!(imported(text), ["model", "yaml", "proxy", "tls"]);
}
