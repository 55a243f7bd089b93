use super::*;
use crate::proxy::http1::{parse_request, parse_response, read_target};

const REQUEST: &str = "PUT /a%2Fb?x=1 HTTP/1.1\r\nHost: web:80\r\nX-User: jason\r\nx-user: too\r\nX-Other: 1\r\nCookie: c\r\n\
                       Content-Length: 3\r\n\r\n";

fn asked(run: impl FnOnce(&Asked<'_>)) {
    let (mut head, mut target) = (Head::default(), Target::default());
    parse_request(REQUEST.as_bytes(), false, &mut head).unwrap();
    read_target(&head, REQUEST.as_bytes(), &mut target).unwrap();
    run(&Asked {
        headers: Headers { head: &head, bytes: REQUEST.as_bytes() },
        target: &target,
        scheme: "http",
        protocol: "HTTP/1.1",
        source: "10.0.0.1:999".parse().ok(),
        destination: "10.0.0.2:80".parse().ok(),
        principal: Some("spiffe://cluster.local/ns/shop/sa/client"),
        own_principal: "spiffe://cluster.local/ns/shop/sa/web",
        server_name: b"",
        request_id: b"id",
        body: Some(b"abc"),
    });
}

fn text(text: &str) -> Text {
    Text::Exact(text.as_bytes().into())
}

#[test]
fn over_http_the_chosen_headers_are_asked_about_and_no_others() {
    let check = HttpCheck {
        path_prefix: "/check".into(),
        request_headers: vec![text("x-user"), text("content-length")],
        additional_headers: vec![("x-from".into(), "mesh".into())],
        ..HttpCheck::default()
    };
    asked(|asked| {
        let mut question = Vec::new();
        http_question(&check, asked, &mut question);
        let question = String::from_utf8(question).unwrap();
        let path = String::from_utf8_lossy(&asked.target.path_and_query).into_owned();
        assert_eq!(
            question,
            format!(
                "PUT /check{path} HTTP/1.1\r\nhost: web:80\r\ncontent-length: 3\r\nx-user: jason\r\nx-user: too\r\n\
                 x-from: mesh\r\n\r\nabc"
            )
        );
    });
}

fn answer(check: &HttpCheck, response: &str) -> Result<Answer, NoAnswer> {
    let mut head = Head::default();
    parse_response(response.as_bytes(), b"GET", &mut head).unwrap();
    http_answer(check, &head, response.as_bytes(), "no".into())
}

#[test]
fn over_http_200_allows_5xx_is_no_answer_and_everything_else_denies() {
    let check = HttpCheck {
        upstream_on_allow: vec![text("x-id")],
        downstream_on_allow: vec![text("x-back")],
        ..HttpCheck::default()
    };
    let lines = "x-id: 7\r\nx-back: b\r\nset-cookie: s\r\ncontent-length: 2\r\nconnection: close\r\n\r\n";
    let Ok(Answer::Allowed(changes)) = answer(&check, &format!("HTTP/1.1 200 OK\r\n{lines}")) else {
        panic!("it is allowed")
    };
    assert_eq!(changes.set, [("x-id".to_owned(), Bytes::from("7"))]);
    assert_eq!(changes.response, [("x-back".to_owned(), Bytes::from("b"))]);
    assert_eq!(answer(&check, &format!("HTTP/1.1 503 No\r\n{lines}")), Err(NoAnswer::Status(503)));
    for (status, expected) in [(401, 401), (302, 302), (204, 403), (404, 404)] {
        let Ok(Answer::Denied(denial)) = answer(&check, &format!("HTTP/1.1 {status} X\r\n{lines}")) else {
            panic!("{status} denies")
        };
        assert_eq!((denial.status, &*denial.body), (expected, &b"no"[..]));
        assert_eq!(denial.lines, b"x-id: 7\r\nx-back: b\r\nset-cookie: s\r\n");
    }
    let check = HttpCheck { downstream_on_deny: vec![text("x-id")], ..check };
    let Ok(Answer::Denied(denial)) =
        answer(&check, "HTTP/1.1 401 X\r\nx-id: 7\r\nx-o: 1\r\nWWW-Authenticate: B\r\n\r\n")
    else {
        panic!("it denies")
    };
    assert_eq!(denial.lines, b"x-id: 7\r\nwww-authenticate: B\r\n");
}

#[test]
fn over_grpc_everything_known_is_asked_about() {
    asked(|asked| {
        let mut question = Vec::new();
        grpc_question("authz.shop:9000", false, 1500, asked, &mut question);
        let at = question.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8_lossy(&question[..at]).into_owned();
        assert!(
            head.starts_with("POST /envoy.service.auth.v3.Authorization/Check HTTP/1.1\r\nhost: authz.shop:9000\r\n")
        );
        assert!(head.contains("grpc-timeout: 1500m\r\n") && head.contains("content-type: application/grpc\r\n"));
        let message = proto::CheckRequest::decode(&question[at + PREFIX..]).unwrap();
        let attributes = message.attributes.unwrap();
        let http = attributes.request.unwrap().http.unwrap();
        assert_eq!((http.method.as_str(), http.host.as_str(), http.size), ("PUT", "web:80", 3));
        assert_eq!(http.headers["x-user"], "jason,too");
        assert_eq!((http.body.as_str(), http.id.as_str()), ("abc", "id"));
        let source = attributes.source.unwrap();
        assert_eq!(source.principal, "spiffe://cluster.local/ns/shop/sa/client");
        let address = source.address.unwrap().socket_address.unwrap();
        assert_eq!((address.address.as_str(), address.port_value), ("10.0.0.1", 999));
    });
}

fn framed(response: &proto::CheckResponse) -> Vec<u8> {
    let message = response.encode_to_vec();
    [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat()
}

fn header(key: &str, value: &str, append: Option<bool>) -> proto::HeaderValueOption {
    proto::HeaderValueOption {
        header: Some(proto::HeaderValue { key: key.into(), value: value.into(), raw_value: Bytes::new() }),
        append: append.map(|value| proto::Flag { value }),
    }
}

#[test]
fn over_grpc_code_0_allows_and_anything_else_denies() {
    use proto::check_response::HttpResponse::{DeniedResponse, OkResponse};
    let with = |code, http_response| proto::CheckResponse {
        status: Some(proto::Status { code, message: String::new() }),
        http_response,
    };
    assert_eq!(grpc_answer(200, &framed(&with(0, None))), Ok(Answer::Allowed(Changes::default())));
    let ok = proto::OkHttpResponse {
        headers: vec![
            header("X-Id", "7", None),
            header("x-more", "8", Some(true)),
            header("content-length", "9", None),
            header("x-evil", "a\r\nb: c", None),
        ],
        headers_to_remove: vec!["Cookie".into(), "host".into()],
        response_headers_to_add: vec![header("x-back", "b", None)],
    };
    let Ok(Answer::Allowed(changes)) = grpc_answer(200, &framed(&with(0, Some(OkResponse(ok.clone()))))) else {
        panic!("it is allowed")
    };
    assert_eq!(changes.set, [("x-id".to_owned(), Bytes::from("7"))]);
    assert_eq!(changes.add, [("x-more".to_owned(), Bytes::from("8"))]);
    assert_eq!(changes.remove, ["cookie"]);
    assert_eq!(changes.response, [("x-back".to_owned(), Bytes::from("b"))]);
    let denied = proto::DeniedHttpResponse {
        status: Some(proto::HttpStatus { code: 401 }),
        headers: vec![header("x-why", "no", None)],
        body: "no".into(),
    };
    let expected = Denial { status: 401, lines: b"x-why: no\r\n".to_vec(), body: "no".into() };
    for code in [0, 7] {
        let answer = grpc_answer(200, &framed(&with(code, Some(DeniedResponse(denied.clone())))));
        assert_eq!(answer, Ok(Answer::Denied(expected.clone())), "{code}");
    }
    for response in [None, Some(OkResponse(ok))] {
        let Ok(Answer::Denied(denial)) = grpc_answer(200, &framed(&with(7, response))) else { panic!("it is denied") };
        assert_eq!(denial.status, 403);
    }
}

#[test]
fn what_is_no_answer_decides_nothing() {
    assert_eq!(grpc_answer(503, &framed(&proto::CheckResponse::default())), Err(NoAnswer::Status(503)));
    for body in [&b""[..], b"\0\0", b"\x01\0\0\0\0", b"\0\0\0\0\x05abc", b"\0\0\0\0\0x", b"\0\0\0\0\x01\xff"] {
        assert_eq!(grpc_answer(200, body), Err(NoAnswer::Malformed), "{body:?}");
    }
}
