//! Values of headers that name facts about the request: `%NAME%`, `%NAME(ARGUMENT)%` and `%NAME(ARGUMENT):LENGTH%`, as Envoy's
//! command operators are written. `%%` stands for a percent sign.
//!
//! What is no variable that is known stands for itself, and [`enforcement`](super::enforcement) says so.

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This text.
    Text(Box<str>),
    /// A fact.
    Variable(Variable),
    /// What looks like a variable and is none that is known; it stands for itself.
    Unknown(Box<str>),
}

/// A fact about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Which.
    pub fact: Fact,
    /// The longest that it may get, in bytes.
    pub most: Option<usize>,
}

/// What can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// One that has a name alone.
    Plain(PlainFact),
    /// A header of the request, by its lower-case name, or another where it is not there.
    Request(Box<str>, Option<Box<str>>),
    /// The same of the response.
    Response(Box<str>, Option<Box<str>>),
}

/// A fact with a name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainFact {
    /// Address and port of the client.
    RemoteAddress,
    /// Address of the client.
    RemoteIp,
    /// Port of the client.
    RemotePort,
    /// Address and port that the client connected to.
    LocalAddress,
    /// Address that the client connected to.
    LocalIp,
    /// Port that the client connected to.
    LocalPort,
    /// Identity that the client proved.
    PeerUri,
    /// SHA-256 of the certificate that the client showed, in hexadecimal.
    PeerFingerprint,
    /// Identity that was shown to the client.
    OwnUri,
    /// Server name that the client asked for.
    ServerName,
    /// Version of HTTP that the client speaks.
    Protocol,
    /// Status of the response.
    ResponseCode,
    /// Name of the route.
    RouteName,
    /// Name of the pod.
    Hostname,
    /// When the request began, in UTC.
    StartTime,
}

/// Every plain fact under Envoy's name.
pub const PLAIN_FACTS: &[(&str, PlainFact)] = &[
    ("DOWNSTREAM_REMOTE_ADDRESS", PlainFact::RemoteAddress),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", PlainFact::RemoteIp),
    ("DOWNSTREAM_REMOTE_PORT", PlainFact::RemotePort),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", PlainFact::RemoteAddress),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", PlainFact::RemoteIp),
    ("DOWNSTREAM_DIRECT_REMOTE_PORT", PlainFact::RemotePort),
    ("DOWNSTREAM_LOCAL_ADDRESS", PlainFact::LocalAddress),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", PlainFact::LocalIp),
    ("DOWNSTREAM_LOCAL_PORT", PlainFact::LocalPort),
    ("DOWNSTREAM_PEER_URI_SAN", PlainFact::PeerUri),
    ("DOWNSTREAM_PEER_FINGERPRINT_256", PlainFact::PeerFingerprint),
    ("DOWNSTREAM_LOCAL_URI_SAN", PlainFact::OwnUri),
    ("REQUESTED_SERVER_NAME", PlainFact::ServerName),
    ("PROTOCOL", PlainFact::Protocol),
    ("RESPONSE_CODE", PlainFact::ResponseCode),
    ("ROUTE_NAME", PlainFact::RouteName),
    ("HOSTNAME", PlainFact::Hostname),
    ("START_TIME", PlainFact::StartTime),
];

/// The parts of a value, in order.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        if let Some(behind) = after.strip_prefix('%') {
            plain.push('%');
            rest = behind;
            continue;
        }
        let Some((inside, behind)) = operator(after) else {
            // No second percent sign: the first one is unknown as well.
            flush(&mut plain, &mut found);
            found.push(Piece::Unknown(format!("%{after}").into()));
            return found;
        };
        flush(&mut plain, &mut found);
        found.push(match variable(inside) {
            Some(variable) => Piece::Variable(variable),
            None => Piece::Unknown(format!("%{inside}%").into()),
        });
        rest = behind;
    }
    plain.push_str(rest);
    flush(&mut plain, &mut found);
    found
}

/// Whether a value has something that looks like a variable and is none that is known.
pub fn has_unknown(text: &str) -> bool {
    text.contains('%') && pieces(text).iter().any(|piece| matches!(piece, Piece::Unknown(_)))
}

fn flush(plain: &mut String, found: &mut Vec<Piece>) {
    if !plain.is_empty() {
        found.push(Piece::Text(std::mem::take(plain).into()));
    }
}

/// What stands before the percent sign that ends an operator, one in its argument aside; and what follows.
fn operator(text: &str) -> Option<(&str, &str)> {
    let in_argument = match (text.find('('), text.find('%')) {
        (Some(open), Some(percent)) if open < percent => text.find(')')?,
        _ => 0,
    };
    let end = in_argument + text.get(in_argument..)?.find('%')?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

fn variable(inside: &str) -> Option<Variable> {
    let Some((name, rest)) = inside.split_once('(') else {
        let (_, fact) = PLAIN_FACTS.iter().find(|(name, _)| *name == inside)?;
        return Some(Variable { fact: Fact::Plain(*fact), most: None });
    };
    let (argument, length) = rest.split_once(')')?;
    let most = match length {
        "" => None,
        length => Some(length.strip_prefix(':')?.parse().ok()?),
    };
    let header = |name: &str| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        (!name.is_empty() && name.bytes().all(token)).then(|| Box::from(name.to_ascii_lowercase()))
    };
    let (first, second) = match argument.split_once('?') {
        Some((first, second)) => (header(first)?, Some(header(second)?)),
        None => (header(argument)?, None),
    };
    let fact = match name {
        "REQ" => Fact::Request(first, second),
        "RESP" => Fact::Response(first, second),
        _ => return None,
    };
    Some(Variable { fact, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_text_and_variables() {
        let text = |text: &str| Piece::Text(text.into());
        let plain = |fact| Piece::Variable(Variable { fact: Fact::Plain(fact), most: None });
        assert_eq!(pieces("plain"), [text("plain")]);
        assert_eq!(pieces(""), []);
        assert_eq!(pieces("100%%"), [text("100%")]);
        assert_eq!(
            pieces("from %DOWNSTREAM_REMOTE_ADDRESS% over %PROTOCOL%"),
            [text("from "), plain(PlainFact::RemoteAddress), text(" over "), plain(PlainFact::Protocol)]
        );
        let request = Fact::Request("x-envoy-original-path".into(), Some(":path".into()));
        assert_eq!(
            pieces("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):10%!"),
            [Piece::Variable(Variable { fact: request, most: Some(10) }), text("!")]
        );
    }

    #[test]
    fn what_is_no_variable_stands_for_itself() {
        for unknown in
            ["%", "%100", "%NOTHING%", "%REQ%", "%REQ()%", "%REQ(a b)%", "%REQ(a):x%", "%REQ(a)x%", "%RESP(a"]
        {
            assert_eq!(pieces(unknown), [Piece::Unknown(unknown.into())], "{unknown}");
            assert!(has_unknown(unknown));
        }
        assert_eq!(pieces("100%"), [Piece::Text("100".into()), Piece::Unknown("%".into())]);
        assert!(!has_unknown("%%%PROTOCOL%%%"));
    }
}
