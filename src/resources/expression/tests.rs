use super::*;

/// A request that was answered with 503, and a connection of which nothing is known.
struct Request;
struct Nothing;

impl Attributes for Request {
    fn value(&self, attribute: Attribute) -> Option<Value<'_>> {
        Some(match attribute {
            Attribute::Code => Value::Int(503),
            Attribute::Method => Value::Text(b"GET".into()),
            Attribute::UrlPath => Value::Text(b"/healthz/live".into()),
            Attribute::MutualTls => Value::Bool(true),
            Attribute::Duration => Value::Duration(Duration::from_millis(700)),
            _ => return None,
        })
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        (name == "x-team").then_some(Cow::Borrowed(b"red"))
    }
}

impl Attributes for Nothing {
    fn value(&self, _: Attribute) -> Option<Value<'_>> {
        None
    }

    fn header(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }
}

#[test]
fn conditions_hold_as_cel_has_it() {
    for (source, of_request, of_nothing) in [
        ("response.code >= 400", true, false),
        ("response.code < 400", false, false),
        ("!has(response.code)", false, true),
        ("!has(response.code) || response.code >= 500", true, true),
        ("response.code in [200, 503]", true, false),
        ("response.code == '503'", false, false),
        ("connection.mtls", true, false),
        ("!connection.mtls", false, false),
        ("request.method == \"GET\" && !request.url_path.contains('health')", false, false),
        ("request.url_path.startsWith('/healthz') && request.url_path.endsWith('live')", true, false),
        ("request.url_path.matches('^/health[a-z]/')", true, false),
        ("request.url_path.matches('^/live')", false, false),
        ("request.headers['X-Team'] == 'red'", true, false),
        ("has(request.headers['x-none'])", false, false),
        ("request.duration > duration('500ms')", true, false),
        ("request.duration > duration('1s') || true", true, true),
        ("(response.code == 503 || false) && (true)", true, false),
        // What is absent decides nothing that the other side does not.
        ("request.host == 'a' && false", false, false),
        ("request.host == 'a' || connection.mtls", true, false),
        ("response.code != 200 && response.code > -1", true, false),
    ] {
        let condition = Expression::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        assert_eq!((condition.holds(&Request), condition.holds(&Nothing)), (of_request, of_nothing), "{source}");
    }
}

#[test]
fn what_is_no_condition_says_where_and_why() {
    let deep = format!("{}true{}", "(".repeat(40), ")".repeat(40));
    for (source, at, reason) in [
        ("", 1, "missing"),
        ("response.code", 1, "neither true nor false"),
        ("response.code >=", 17, "missing"),
        ("response.code >= 400)", 21, "should have ended"),
        ("response.cod >= 400", 1, "no attribute `response.cod`"),
        ("request.path.size() > 1", 14, "size() is none of"),
        ("request.headers == 'a'", 17, "`[`"),
        ("request.path == 'a", 17, "no end"),
        ("request.path.matches('(')", 26, "regular expression"),
        ("has(1)", 7, "takes an attribute"),
        ("duration('soon') > duration('1s')", 17, "such as"),
        ("response.code ? 1 : 2", 1, "neither true nor false"),
        ("true ? 1", 9, "`:`"),
        ("'a' + 'b'", 1, "neither true nor false"),
        (&deep, 34, "nests deeper"),
    ] {
        let error = Expression::parse(source).unwrap_err();
        assert!(error.at == at && error.to_string().contains(reason), "{source}: {error}");
    }
    assert!(Expression::parse(&" ".repeat(5000)).unwrap_err().reason.contains("longer"));
}

#[test]
fn a_value_is_told_as_a_text() {
    for (source, of_request, of_nothing) in [
        ("request.method", Some("GET"), None),
        ("response.code", Some("503"), None),
        ("string(response.code) + '/' + request.method", Some("503/GET"), None),
        ("'a'", Some("a"), Some("a")),
        ("has(request.method) ? request.method : 'none'", Some("GET"), Some("none")),
        ("response.code >= 500 ? 'bad' : response.code >= 400 ? 'poor' : 'good'", Some("bad"), None),
        ("(connection.mtls ? 'm' : 'p') + 'x'", Some("mx"), None),
        ("request.duration", Some("0.7s"), None),
        ("request.headers['x-team']", Some("red"), None),
        ("connection.mtls", Some("true"), None),
        ("response.code + 'x'", None, None),
    ] {
        let value = Expression::parse_value(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        let (request, nothing) = (value.text(&Request), value.text(&Nothing));
        assert_eq!((request.as_deref(), nothing.as_deref()), (of_request, of_nothing), "{source}");
    }
}
