use serde_json::{Value, json};

use super::{ErrorKind, Path, Position, load, to_string, to_string_all};

fn value(text: &str) -> Value {
    let loaded = load("t.yaml", text.as_bytes());
    assert!(loaded.errors.is_empty(), "{text:?}: {}", loaded.errors[0]);
    assert_eq!(loaded.documents.len(), 1, "{text:?}");
    loaded.documents[0].value.clone()
}

fn errors(text: &str) -> Vec<String> {
    errors_of(text.as_bytes())
}

fn errors_of(bytes: &[u8]) -> Vec<String> {
    let loaded = load("t.yaml", bytes);
    loaded.errors.iter().map(ToString::to_string).collect()
}

fn path(text: &str) -> Path {
    text.split('.')
        .map(|part| match part.parse::<usize>() {
            Ok(index) => index.into(),
            Err(_) => part.into(),
        })
        .collect()
}

#[test]
fn scalars_have_the_types_that_kubernetes_gives_them() {
    let cases = [
        ("yes", json!(true)),
        ("Y", json!(true)),
        ("on", json!(true)),
        ("TRUE", json!(true)),
        ("no", json!(false)),
        ("n", json!(false)),
        ("Off", json!(false)),
        ("yEs", json!("yEs")),
        ("tRUE", json!("tRUE")),
        ("0644", json!(420)),
        ("0o644", json!(420)),
        ("0x1F", json!(31)),
        ("-0x10", json!(-16)),
        ("0b101", json!(5)),
        ("08", json!(8)),
        ("1_000", json!(1000)),
        ("+12", json!(12)),
        ("1_000.5", json!(1000.5)),
        ("1e3", json!(1000)),
        ("1.0", json!(1)),
        (".5", json!(0.5)),
        ("1.", json!(1)),
        ("-.5e1", json!(-5)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("99999999999999999999", json!(1e20)),
        ("1e400", json!("1e400")),
        ("190:20:30", json!("190:20:30")),
        ("2001-01-01", json!("2001-01-01")),
        ("1.2.3", json!("1.2.3")),
        ("0x", json!("0x")),
        ("_1", json!("_1")),
        ("v1", json!("v1")),
        ("'yes'", json!("yes")),
        ("\"0644\"", json!("0644")),
        ("!!str 0644", json!("0644")),
        ("!!int \"7\"", json!(7)),
        ("! 12", json!("12")),
    ];
    for (text, expected) in cases {
        assert_eq!(value(&format!("a: {text}")), json!({ "a": expected }), "{text}");
    }
    for null in ["a:", "a: ~", "a: null", "a: Null"] {
        assert_eq!(value(null), json!({ "a": null }), "{null}");
    }
}

#[test]
fn an_address_in_brackets_is_a_string() {
    assert_eq!(value("[1.2.3.4, 001:db8::, fe80::]"), json!(["1.2.3.4", "001:db8::", "fe80::"]));
    assert_eq!(value("[a: , b: 1]"), json!([{"a": null}, {"b": 1}]));
    assert_eq!(value("- a:\n- {b:}\n"), json!([{"a": null}, {"b": null}]));
}

#[test]
fn a_list_is_its_items() {
    let list = load("t.yaml", b"apiVersion: v1\nkind: List\nitems:\n- kind: A\n- kind: B\n  x: {z: 1}\n");
    let items: Vec<_> = list.documents.into_iter().flat_map(super::Document::into_items).collect();
    assert_eq!(items.iter().map(|item| item.value["kind"].clone()).collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(items[1].locate(&path("x.z")), Some(Position { line: 6, column: 7 }));
    assert_eq!(items[1].start_line, 5);
    for single in ["kind: List", "kind: List\nitems: 1", "kind: ListOf\nitems: [1]", "[1]"] {
        let loaded = load("t.yaml", single.as_bytes());
        assert_eq!(loaded.documents.into_iter().flat_map(super::Document::into_items).count(), 1, "{single}");
    }
}

#[test]
fn keys_become_strings() {
    assert_eq!(
        value("80: a\non: b\n0x10: c\n1.5: d\nno: e\n'y': f\n"),
        json!({"80": "a", "true": "b", "16": "c", "1.5": "d", "false": "e", "y": "f"})
    );
    assert_eq!(
        errors("~: 1\n"),
        ["t.yaml:1:1: a mapping's key has to be a string, a number or a boolean, and this is null"]
    );
}

#[test]
fn anchors_aliases_and_merges() {
    let text = "\
base: &base {a: 1, b: 2}
more: &more {b: 3, c: 4}
one:
  <<: *base
  a: 9
both:
  a: 7
  <<: [*base, *more]
list: [*base]
quoted: {'<<': text}
";
    let value = value(text);
    assert_eq!(value["one"], json!({"a": 9, "b": 2}));
    assert_eq!(value["both"], json!({"a": 7, "b": 2, "c": 4}));
    assert_eq!(value["list"], json!([{"a": 1, "b": 2}]));
    assert_eq!(value["quoted"], json!({"<<": "text"}));
    assert_eq!(
        errors("a:\n  <<: 5\n"),
        ["t.yaml:2:7: `<<` merges a mapping or a list of mappings, and this is a number"]
    );
    assert!(errors("a: *nope\n")[0].starts_with("t.yaml:1:4: the alias `*nope` has no anchor"));
    assert!(errors("a: &a [1, *a]\n")[0].starts_with("t.yaml:1:11: this alias stands inside"));
}

#[test]
fn every_value_can_be_located() {
    let text = "# c\n---\nkind: X\nspec:\n  http:\n  - route:\n    - weight:  5\n---\n\nkind: Y\n";
    let loaded = load("t.yaml", text.as_bytes());
    let [first, second] = loaded.documents.as_slice() else {
        panic!("two documents, not {}", loaded.documents.len());
    };
    assert_eq!((first.start_line, second.start_line), (3, 10));
    let weight = path("spec.http.0.route.0.weight");
    assert_eq!(first.locate(&weight), Some(Position { line: 7, column: 7 }));
    assert_eq!(first.locate_value(&weight), Some(Position { line: 7, column: 16 }));
    assert_eq!(first.locate(&path("spec.http.0.nope")), None);
    assert_eq!(first.source(&path("spec.http.0.nope")).to_string(), "t.yaml:6:5");
    assert_eq!(weight.to_string(), "spec.http[0].route[0].weight");
    assert_eq!(path("headers.end-user.exact").to_string(), "headers[\"end-user\"].exact");
}

#[test]
fn a_duplicate_key_names_both_places_and_all_faults_are_found() {
    assert_eq!(
        errors("a: 1\nb:\n  c: 1\n  c: 2\na: 3\nd: .inf\ne: !Ref x\n"),
        [
            "t.yaml:4:3: the key `c` is already set at line 3, column 3: remove one of the two",
            "t.yaml:5:1: the key `a` is already set at line 1, column 1: remove one of the two",
            "t.yaml:6:4: `.inf` is a number that JSON, and with it Kubernetes, does not have: quote it if it is meant as text",
            "t.yaml:7:9: the tag `!Ref` is not supported: remove it, Kubernetes has no use for it",
        ]
    );
    assert_eq!(errors("y: 1\ntrue: 2\n").len(), 1);
}

#[test]
fn loading_goes_on_after_a_bad_document() {
    let text = "a: 1\n---\nb: [1,\nc: }\n---\nd: 2\n---\n? [x]\n: 1\n---\ne: 3\n";
    let loaded = load("t.yaml", text.as_bytes());
    let values: Vec<_> = loaded.documents.iter().map(|d| d.value.clone()).collect();
    assert_eq!(values, [json!({"a": 1}), json!({"d": 2}), json!({"e": 3})]);
    assert_eq!(loaded.errors.len(), 2, "{:?}", loaded.errors);
    assert_eq!(loaded.errors[1].place.position(), Position { line: 8, column: 3 });
}

#[test]
fn empty_documents_are_left_out() {
    for text in ["", "---\n", "# only a comment\n", "---\n---\n# c\n...\n", "\u{feff}"] {
        let loaded = load("t.yaml", text.as_bytes());
        assert!(loaded.documents.is_empty() && loaded.errors.is_empty(), "{text:?}");
    }
}

#[test]
fn tabs_encodings_and_binaries() {
    assert_eq!(
        errors("a:\n\tb: 1\n"),
        ["t.yaml:2:1: a tab indents this line, and YAML allows only spaces there: replace the tab with spaces"]
    );
    assert_eq!(value("\u{feff}a: 1\r\nb: |\r\n  x\r\n  y\r\n"), json!({"a": 1, "b": "x\ny\n"}));
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain("a: é\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(load("t.yaml", &utf16).documents[0].value, json!({"a": "é"}));
    assert_eq!(
        errors_of(b"a: 1\nb: \0\n"),
        ["t.yaml:2:4: the character U+0000 does not belong in a text file: is this a binary file?"]
    );
    assert_eq!(errors_of(b"a: \xff\xfe\n"), ["t.yaml:1:4: this is not UTF-8: save the file as UTF-8"]);
    assert_eq!(errors_of(&[0xff, 0xfe, 0, 0, 1]).len(), 1);
    assert_eq!(
        errors_of(&[0xfe, 0xff, 0xd8, 0x00, 0x00, 0x61]),
        ["t.yaml:1:1: this is not valid UTF-16: save the file as UTF-8"]
    );
}

#[test]
fn json_is_read_as_well() {
    let text = "{\n\t\"a\": [1, 2.5, true, null, \"x\\u00e9\\/\\ud83d\\ude00\"],\n\t\"b\": {\"c\": \"y\"}\n}";
    assert_eq!(value(text), serde_json::from_str::<Value>(text).unwrap());
}

#[test]
fn anchors_inside_of_anchors_are_not_all_kept() {
    let numbers = "1,".repeat(100_000);
    let (open, close): (String, String) = ((0..120).map(|level| format!("&a{level} [")).collect(), "]".repeat(120));
    // Each level would keep a copy of all that is inside.
    let nested = format!("a: {open}{numbers}{close}\n");
    let start = std::time::Instant::now();
    assert_eq!(load("t", nested.as_bytes()).errors, []);
    // Those that are not kept cannot be repeated, and stand for nothing else.
    let repeated = format!("{nested}b: *a0\n");
    assert!(errors(&repeated)[0].contains("aliases of this document expand to more than 10 MiB"));
    let innermost = format!("{nested}b: *a119\n");
    assert_eq!(load("t", innermost.as_bytes()).errors, []);
    assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn empty_lists_count_as_values() {
    let text = format!("a: [{}]\n", "[],".repeat(1_000_001));
    assert!(errors(&text)[0].contains("values"), "{:?}", errors(&text));
}

#[test]
fn lists_of_kubernetes_alone_are_divided() {
    let count = |text: &str| {
        let loaded = load("t", text.as_bytes());
        loaded.documents.into_iter().flat_map(crate::yaml::Document::into_items).count()
    };
    assert_eq!(count("{apiVersion: v1, kind: List, items: [{}, {}]}"), 2);
    assert_eq!(count("{apiVersion: v1, kind: PodList, items: [{metadata: {}}, {metadata: {}}]}"), 2);
    assert_eq!(count("{apiVersion: a.b/v1, kind: IPList, metadata: {name: a}, items: [10.0.0.1, 10.0.0.2]}"), 1);
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![alias; 9].join(", "));
    }
    assert!(errors(&bomb)[0].contains("aliases of this document expand to more than 10 MiB"));

    let text = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 50].join(","));
    assert!(errors(&text)[0].contains("aliases of this document"));

    for deep in ["[".repeat(100_000), "- ".repeat(100_000), "a: {".repeat(100_000)] {
        assert_eq!(errors(&deep).len(), 1, "{}", &deep[..10]);
    }
    let nested = format!("{}1{}", "[".repeat(128), "]".repeat(128));
    assert!(load("t.yaml", nested.as_bytes()).errors.is_empty());
    assert!(matches!(load("t.yaml", format!("[{nested}]").as_bytes()).errors[0].kind, ErrorKind::Depth { limit: 128 }));
    let nested =
        format!("x: &x {}1{}\ny: {}*x{}\n", "[".repeat(100), "]".repeat(100), "[".repeat(100), "]".repeat(100));
    assert!(matches!(load("t.yaml", nested.as_bytes()).errors[0].kind, ErrorKind::Depth { .. }));
}

#[test]
fn sizes_are_bounded() {
    let large = vec![b'#'; (64 << 20) + 1];
    assert!(errors_of(&large)[0].contains("at most 64 MiB"));

    let text = format!("a: \"{}\"\n---\nb: 1\n", "x".repeat(11 << 20));
    let loaded = load("t.yaml", text.as_bytes());
    assert!(matches!(loaded.errors[0].kind, ErrorKind::DocumentSize { .. }));
    assert_eq!(loaded.documents[0].value, json!({"b": 1}));

    let text = "- 1\n".repeat(1_000_001);
    assert!(matches!(load("t.yaml", text.as_bytes()).errors[0].kind, ErrorKind::Nodes { .. }));

    let text = "- !x 1\n".repeat(1_000);
    let loaded = load("t.yaml", text.as_bytes());
    assert_eq!(loaded.errors.len(), 100);
    assert!(matches!(loaded.errors[99].kind, ErrorKind::TooManyErrors { limit: 99 }));
}

#[test]
fn an_error_points_into_its_line() {
    let text = "a: 1\nbcd: 2\nbcd: 3\n";
    let loaded = load("t.yaml", text.as_bytes());
    assert_eq!(
        loaded.errors[0].render(text),
        "t.yaml:3:1: the key `bcd` is already set at line 2, column 1: remove one of the two\n   |\n 3 | bcd: 3\n   | ^"
    );
}

#[test]
fn written_as_kubernetes_writes_it() {
    let value = json!({
        "kind": "X",
        "apiVersion": "v1",
        "list": ["*", "yes", "0644", "1_000", "190:20:30", "2001-01-01", "", " lead", "a: b", "a #b", "-", "- x", "plain text",
                 "tab\there", "it's", "@at", "null", "~", "1e3", ":80", "a:", "<<"],
        "nested": [{"b": 1, "a": [[1, 2], []]}, {}],
        "v10": 1.5,
        "v2": null,
        "yes": true,
        "text": "line 1\n\nline 3\n",
        "strip": "a\nb",
        "keep": "a\n\n",
        "big": 1_234_567.5,
    });
    let expected = "\
apiVersion: v1
big: 1.2345675e+06
keep: |+
  a

kind: X
list:
- '*'
- \"yes\"
- \"0644\"
- \"1_000\"
- \"190:20:30\"
- \"2001-01-01\"
- \"\"
- ' lead'
- 'a: b'
- 'a #b'
- '-'
- '- x'
- plain text
- \"tab\\there\"
- it's
- '@at'
- \"null\"
- \"~\"
- \"1e3\"
- :80
- 'a:'
- '<<'
nested:
- a:
  - - 1
    - 2
  - []
  b: 1
- {}
strip: |-
  a
  b
text: |
  line 1

  line 3
v2: null
v10: 1.5
\"yes\": true
";
    assert_eq!(to_string(&value), expected);
    assert_eq!(to_string_all([&json!({"a": 1}), &json!({"b": 2})]), "a: 1\n---\nb: 2\n");
}

mod properties {
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,12}",
            "[-+.0-9_xobeE:]{0,6}",
            "[ \t\n#:\\-?*&!|>'\"%@`{}\\[\\],~=<a-cyn]{0,8}",
            Just("yes".to_owned()),
            any::<String>(),
        ]
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9).prop_filter("floats with a fraction", |f: &f64| f.fract() != 0.0).prop_map(Value::from),
            text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(Value::from),
                btree_map(text(), inner, 0..5).prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in tree()) {
            let written = to_string(&value);
            let loaded = load("t.yaml", written.as_bytes());
            prop_assert!(loaded.errors.is_empty(), "{written}\n{:?}", loaded.errors);
            let read = loaded.documents.first().map_or(Value::Null, |document| document.value.clone());
            prop_assert_eq!(read, value, "{}", written);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let loaded = load("t.yaml", text.as_bytes());
            for error in &loaded.errors {
                error.render(&text);
            }
        }

        #[test]
        fn no_yaml_like_text_makes_it_panic(text in "[a-c0-9 \t\n\r:\\-?*&!|>'\"%{}\\[\\],~<#.]{0,80}") {
            let loaded = load("t.yaml", text.as_bytes());
            for document in &loaded.documents {
                prop_assert!(document.locate(&Path::root()).is_some());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
            load("t.yaml", &bytes);
        }
    }
}
