//! `docs/in-force.md`, made from [`enforcement`](super::enforcement): what mesh does with every field, for people.
//!
//! `cargo test --lib resources::documentation -- --ignored regenerate` writes the file; a test sees that it is current.

use super::enforcement::{Consequence, IN_FORCE, NOT_IN_FORCE, When};

/// The document.
pub fn render() -> String {
    let mut text = String::from(
        "# What is in force\n\n\
         A field of a configuration kind is either in force or in one of the tables below. A field that is in neither is refused as\n\
         unknown. An object that uses a field from a table is accepted with a warning that says what mesh does instead, unless the\n\
         table says otherwise.\n\n\
         This file is generated from the table that `mesh validate`, `mesh apply` and the API server's admission use.\n",
    );
    // A kind may have several entries in either table: fields that several of its parts share are listed once.
    for (index, (kind, _)) in IN_FORCE.iter().enumerate() {
        if IN_FORCE.iter().take(index).any(|(known, _)| known == kind) {
            continue;
        }
        text.push_str(&format!("\n## {kind}\n"));
        let fields: Vec<_> =
            IN_FORCE.iter().filter(|(known, _)| known == kind).flat_map(|(_, fields)| *fields).collect();
        if !fields.is_empty() {
            text.push_str("\nIn force, each with everything below it that the table does not name:\n\n");
            for field in fields {
                text.push_str(&format!("- `{field}`\n"));
            }
        }
        let rows: Vec<_> = NOT_IN_FORCE.iter().filter(|(known, _)| known == kind).flat_map(|(_, rows)| *rows).collect();
        if rows.is_empty() {
            continue;
        }
        text.push_str("\n| not in force | what mesh does instead |\n| --- | --- |\n");
        for row in rows {
            let values = match row.when {
                When::Set => String::new(),
                When::Not(values) => format!(", other than {}", values.join(", ")),
                When::Contains(character) => format!(", containing `{character}`"),
                When::UnknownVariable => ", with a variable that is not known".to_owned(),
            };
            let consequence = match row.consequence {
                Consequence::Warning => "",
                Consequence::NeverMatches => "never matches: ",
                Consequence::Refused => "refused: ",
            };
            text.push_str(&format!("| `{}`{values} | {consequence}{} |\n", row.path, row.instead));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/in-force.md");

    #[test]
    fn the_document_is_current() {
        let written = std::fs::read_to_string(PATH).unwrap_or_default();
        assert!(
            written == super::render(),
            "docs/in-force.md is out of date: run `cargo test --lib resources::documentation -- --ignored regenerate`"
        );
    }

    #[test]
    fn every_kind_has_one_section_with_all_of_its_rows() {
        let text = super::render();
        for (kind, rows) in super::NOT_IN_FORCE {
            assert_eq!(text.matches(&format!("\n## {kind}\n")).count(), 1, "{kind}");
            let section = text.split(&format!("\n## {kind}\n")).nth(1).and_then(|rest| rest.split("\n## ").next());
            for row in *rows {
                assert!(section.is_some_and(|section| section.contains(&format!("| `{}`", row.path))), "{}", row.path);
            }
        }
    }

    #[test]
    #[ignore = "writes into the source tree"]
    fn regenerate() {
        std::fs::write(PATH, super::render()).unwrap();
    }
}
