//! Files as they should not be, through `mesh validate`: each has its sentence, in bounded time and memory.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{MESH, stderr, stdout};

/// What `mesh validate` says of a file, and how it ended; it has to end by itself.
fn validate(file: &Path) -> Output {
    let start = Instant::now();
    let output = Command::new(MESH).args(["validate", "-f"]).arg(file).stdin(Stdio::null()).output().unwrap();
    assert!(start.elapsed() < Duration::from_secs(60), "{}: {:?}", file.display(), start.elapsed());
    output
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n  - port: 80\n";

fn utf16(text: &str, little: bool) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
}

#[test]
fn texts_in_other_forms_are_read() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("a.yaml");
    let forms: [(&str, Vec<u8>); 6] = [
        ("UTF-8", SERVICE.into()),
        ("with a mark", format!("\u{feff}{SERVICE}").into()),
        ("UTF-16 LE", utf16(SERVICE, true)),
        ("UTF-16 BE", utf16(SERVICE, false)),
        ("CRLF", SERVICE.replace('\n', "\r\n").into()),
        ("JSON", br#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}"#.to_vec()),
    ];
    for (form, bytes) in forms {
        fs::write(&path, bytes).unwrap();
        let output = validate(&path);
        assert!(output.status.success(), "{form}: {}", stderr(&output));
        assert!(stdout(&output).contains("1 object"), "{form}: {}", stdout(&output));
    }
}

#[test]
fn what_is_no_configuration_is_said_with_its_place() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("a.yaml");
    let name = path.display().to_string();
    let bomb = {
        let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (outer, inner) in "bcdefghij".chars().zip("abcdefghi".chars()) {
            let aliases = vec![format!("*{inner}"); 10].join(", ");
            text.push_str(&format!("{outer}: &{outer} [{aliases}]\n"));
        }
        text
    };
    let cases: [(&str, Vec<u8>, &str, &str); 11] = [
        ("empty", Vec::new(), "", "no object in"),
        ("only comments", b"# nothing\n---\n".to_vec(), "", "no object in"),
        ("a list", b"- 1\n- 2\n".to_vec(), ":1:1", "this is no object"),
        ("a scalar", b"hello\n".to_vec(), ":1:1", "this is no object"),
        ("a tab", b"apiVersion: v1\nkind: Service\nmetadata:\n\tname: a\n".to_vec(), ":4:1", "a tab indents this line"),
        (
            "a key twice",
            b"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  name: b\n".to_vec(),
            ":5:3",
            "the key `name` is already set at line 4, column 3",
        ),
        ("binary", b"\x7fELF\x02\x01\x01\0\0\0\0\0".to_vec(), ":1:1", "binary file"),
        ("bytes that are no UTF-8", [SERVICE.as_bytes(), b"# \xff\xfe\n"].concat(), ":8:3", "save the file as UTF-8"),
        ("half of UTF-16", [0xff, 0xfe, b'a'].to_vec(), ":1:", "save the file as UTF-8"),
        ("a bomb", bomb.into(), ":", "expand to more than"),
        ("deep", "[".repeat(100_000).into(), ":1:", "levels of nesting"),
    ];
    for (case, bytes, place, sentence) in cases {
        fs::write(&path, bytes).unwrap();
        let output = validate(&path);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(65), "{case}: {said}");
        assert!(said.contains(sentence) && said.contains(&format!("{name}{place}")), "{case}: {said}");
    }
}

#[test]
fn what_cannot_be_read_at_all_is_said_by_name() {
    let files = tempfile::tempdir().unwrap();
    let at = |name: &str| files.path().join(name);
    let said = |path: &Path| {
        let output = validate(path);
        assert!(!output.status.success(), "{}", path.display());
        stderr(&output)
    };
    assert!(said(&at("gone.yaml")).contains("gone.yaml"));
    // A directory that looks like a file is one all the same.
    fs::create_dir(at("x.yaml")).unwrap();
    assert!(said(&at("x.yaml")).contains("no object in"));
    fs::write(at("x.yaml/a.yaml"), SERVICE).unwrap();
    assert!(validate(&at("x.yaml")).status.success());
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    assert!(said(&at("pipe")).contains("a pipe that nobody writes to"));
    fs::write(at("secret.yaml"), SERVICE).unwrap();
    fs::set_permissions(at("secret.yaml"), fs::Permissions::from_mode(0o0)).unwrap();
    if fs::read(at("secret.yaml")).is_err() {
        assert!(said(&at("secret.yaml")).contains("secret.yaml"));
    }
}

#[test]
fn a_url_is_read_like_a_file_and_named_in_what_is_said() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let answers = [
        ("200 OK", SERVICE.to_owned()),
        ("200 OK", SERVICE.replace("  - port", "  - [port")),
        ("404 Not Found", String::new()),
    ];
    let serving = std::thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = server.accept().unwrap();
            let mut head = BufReader::new(stream.try_clone().unwrap()).lines();
            while head.next().unwrap().unwrap() != "" {}
            let length = body.len();
            write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        }
    });
    let url = format!("http://{address}/web.yaml");
    let validate = || Command::new(MESH).args(["validate", &url]).env("no_proxy", "*").output().unwrap();
    let sound = validate();
    assert!(sound.status.success() && stdout(&sound).contains("1 object"), "{}", stderr(&sound));
    let wrong = validate();
    assert_eq!(wrong.status.code(), Some(65));
    assert!(stderr(&wrong).contains(&format!("{url}:")), "{}", stderr(&wrong));
    let gone = validate();
    assert_eq!(gone.status.code(), Some(69));
    assert!(stderr(&gone).contains(&format!("can't read {url}: it answers with 404")), "{}", stderr(&gone));
    serving.join().unwrap();
    let nobody = validate();
    assert_eq!(nobody.status.code(), Some(69));
    assert!(stderr(&nobody).contains(&url), "{}", stderr(&nobody));
}

#[test]
fn a_file_of_100_mib_is_refused_before_it_is_read_whole() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("big.yaml");
    // Without blocks of its own on the disk.
    fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    let limited = format!("ulimit -v {}; exec \"$0\" validate -f \"$1\"", 1 << 20);
    let output = Command::new("sh").args(["-c", &limited, MESH]).arg(&path).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(said.contains("big.yaml") && said.contains("at most"), "{said}");
}

#[test]
fn settings_of_the_mesh_are_checked_where_they_stand() {
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("a.yaml");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\ndata:\n  mesh: |-\n    \
               accessLogFile: /dev/stdout\n    outboundTrafficPolicy:\n      mod: REGISTRY_ONLY\n  meshNetworks: 'network: {}'\n";
    fs::write(&path, map).unwrap();
    let said = stderr(&validate(&path));
    let name = path.display();
    assert!(said.contains(&format!("{name}:10:7: outboundTrafficPolicy.mod is not a field of this kind")), "{said}");
    assert!(said.contains("\n 10 |       mod: REGISTRY_ONLY\n    |       ^"), "{said}");
    assert!(said.contains(&format!("{name}:11:17: network is not a field of this kind")), "{said}");

    let operator = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  meshConfig:\n    acessLogFile: /dev/stdout\n";
    fs::write(&path, operator).unwrap();
    let output = validate(&path);
    assert!(stderr(&output).contains(&format!("{name}:5:5: meshConfig.acessLogFile")), "{}", stderr(&output));
    fs::write(&path, operator.replace("acess", "access")).unwrap();
    assert!(validate(&path).status.success());
}
