//! YAML inside of YAML: a text that is a value of a document, whose own values stand where they stand in the file.

use super::document::{Children, Located};
use super::{Document, Loaded, Path, Position, load};

/// Loads the text at `path` of a document. `source` is the text that the document was loaded from: a literal block (`|`) is
/// located line by line; what is written in another way, at its beginning. `None` where there is no text.
pub fn load_embedded(outer: &Document, path: &Path, source: &str) -> Option<Loaded> {
    let text = path.segments().iter().try_fold(&outer.value, |here, segment| match segment {
        super::Segment::Key(key) => here.get(key.as_ref()),
        super::Segment::Index(index) => here.get(*index),
    });
    let text = text?.as_str()?;
    let place = Place::of(outer.locate(path)?, outer.locate_value(path)?, source);
    let mut loaded = load(&outer.name, text.as_bytes());
    for document in &mut loaded.documents {
        document.start_line = place.shifted(Position { line: document.start_line, column: 1 }).line;
        document.located.shift(&place);
    }
    for error in &mut loaded.errors {
        let position = place.shifted(error.place.position());
        (error.place.line, error.place.column) = (position.line, position.column);
    }
    Some(loaded)
}

/// Where a text stands in the file around it.
enum Place {
    /// Lines below this line, indented by so many characters.
    Block { line: u32, indent: u32 },
    /// Somewhere from here on.
    Inline(Position),
}

impl Place {
    /// `key`: where the key stands whose value the text is; `start`: where the text begins.
    fn of(key: Position, start: Position, source: &str) -> Self {
        let mut lines = source.lines().skip(key.line.saturating_sub(1) as usize);
        // After the sign there may be a digit for the indentation, and what becomes of the last line breaks.
        let sign = |line: &str| {
            line.trim_end().trim_end_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '+').ends_with('|')
        };
        let is_literal = start.line > key.line && lines.next().is_some_and(sign);
        let first = lines.find(|line| !line.trim().is_empty()).filter(|_| is_literal);
        match first {
            Some(line) => {
                let indent = line.chars().take_while(|character| *character == ' ').count();
                Self::Block { line: key.line, indent: u32::try_from(indent).unwrap_or(u32::MAX) }
            }
            None => Self::Inline(start),
        }
    }

    fn shifted(&self, inner: Position) -> Position {
        match self {
            Self::Block { line, indent } => {
                Position { line: inner.line.saturating_add(*line), column: inner.column.saturating_add(*indent) }
            }
            Self::Inline(start) => *start,
        }
    }
}

impl Located {
    fn shift(&mut self, place: &Place) {
        self.value = place.shifted(self.value);
        self.key = self.key.map(|key| place.shifted(key));
        match &mut self.children {
            Children::None => {}
            Children::Sequence(items) => items.iter_mut().for_each(|item| item.shift(place)),
            Children::Mapping(entries) => entries.values_mut().for_each(|entry| entry.shift(place)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn locate(text: &str, inner: &Path) -> String {
        let loaded = yaml::load("a.yaml", text.as_bytes());
        let path = Path::root().key("data").key("mesh");
        let embedded = load_embedded(&loaded.documents[0], &path, text).unwrap();
        match embedded.errors.first() {
            Some(error) => error.place.to_string(),
            None => embedded.documents[0].source(inner).to_string(),
        }
    }

    #[test]
    fn a_literal_block_is_located_line_by_line_and_another_text_at_its_beginning() {
        let inner = Path::root().key("a").key("b");
        assert_eq!(locate("data:\n  mesh: |-\n\n    # what\n    a:\n      b: 1\n", &inner), "a.yaml:6:7");
        assert_eq!(locate("data:\n  mesh: \"a: {b: 1}\"\n", &inner), "a.yaml:2:9");
        assert_eq!(locate("data: {mesh: 'a: {b: 1}'}\n", &inner), "a.yaml:1:14");
        // Faults as well.
        assert_eq!(locate("data:\n  mesh: |\n    a: 1\n    a: 2\n", &inner), "a.yaml:4:5");
    }
}
