//! The rules between fields that the Gateway API's definitions state in CEL, for API servers that evaluate them.
//!
//! Where a rule holds is said by the end of a field's path in the definition (`plural.spec.field[]`). The mesh evaluates none of
//! them: [`rules`](crate::resources::rules) has the same ones as code, and a test holds both against the project's own definitions.

use std::fmt::Write;

use serde_json::{Value, json};

/// Rules that hold for the same fields: the ends of their paths, and each rule with what is said where it does not hold.
struct Stated {
    at: &'static [&'static str],
    rules: &'static [(&'static str, &'static str)],
}

/// Adds the rules to the schema of a kind's objects.
pub(in crate::resources) fn state(plural: &str, schema: &mut Value) {
    add(plural, schema);
}

fn add(path: &str, schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    let stated = STATED.iter().filter(|stated| stated.at.iter().any(|end| path.ends_with(end)));
    let mut rules: Vec<Value> = stated
        .flat_map(|stated| stated.rules)
        .map(|(rule, message)| json!({"rule": rule, "message": message}))
        .collect();
    rules.extend(number_of_matches(path).map(|rule| json!({"rule": rule, "message": MATCHES})));
    if !rules.is_empty()
        && let Some(all) = fields.entry("x-kubernetes-validations").or_insert_with(|| json!([])).as_array_mut()
    {
        all.append(&mut rules);
    }
    for (name, inner) in fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        add(&format!("{path}.{name}"), inner);
    }
    for (name, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = fields.get_mut(name) {
            add(&format!("{path}{mark}"), inner);
        }
    }
}

const MATCHES: &str = "all rules together can have 128 matches at most";

/// CEL as API servers have it sums up no lists, so that each of the 16 rules that a route can have is a term.
fn number_of_matches(path: &str) -> Option<String> {
    let matches = |index: usize| match path {
        "httproutes.spec.rules" => Some(format!("self[{index}].matches.size()")),
        "grpcroutes.spec.rules" => Some(format!("(has(self[{index}].matches) ? self[{index}].matches.size() : 0)")),
        _ => None,
    };
    let mut sum = String::new();
    for index in 0..16 {
        let joint = if index == 0 { "" } else { " + " };
        write!(sum, "{joint}(self.size() > {index} ? {} : 0)", matches(index)?).ok()?;
    }
    Some(format!("{sum} <= 128"))
}

const STATED: &[Stated] = &[
    Stated {
        at: &[".targetRefs"],
        rules: &[
            (
                "self.all(p1, self.all(p2, p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name ? ((!has(p1.sectionName) || p1.sectionName == '') == (!has(p2.sectionName) || p2.sectionName == '')) : true))",
                "sectionName is needed in each of several references to one target",
            ),
            (
                "self.all(p1, self.exists_one(p2, p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name && (((!has(p1.sectionName) || p1.sectionName == '') && (!has(p2.sectionName) || p2.sectionName == '')) || (has(p1.sectionName) && has(p2.sectionName) && p1.sectionName == p2.sectionName))))",
                "each sectionName of one target can be named once",
            ),
        ],
    },
    Stated {
        at: &[".spec.validation"],
        rules: &[
            (
                r#"!(has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0 && has(self.wellKnownCACertificates) && self.wellKnownCACertificates != "")"#,
                "caCertificateRefs and wellKnownCACertificates exclude each other",
            ),
            (
                r#"(has(self.caCertificateRefs) && size(self.caCertificateRefs) > 0 || has(self.wellKnownCACertificates) && self.wellKnownCACertificates != "")"#,
                "one of caCertificateRefs and wellKnownCACertificates is needed",
            ),
        ],
    },
    Stated {
        at: &[".subjectAltNames[]"],
        rules: &[
            (
                r#"!(self.type == "Hostname" && (!has(self.hostname) || self.hostname == ""))"#,
                "the type Hostname needs hostname",
            ),
            (
                r#"!(self.type != "Hostname" && has(self.hostname) && self.hostname != "")"#,
                "hostname belongs to the type Hostname alone",
            ),
            (r#"!(self.type == "URI" && (!has(self.uri) || self.uri == ""))"#, "the type URI needs uri"),
            (r#"!(self.type != "URI" && has(self.uri) && self.uri != "")"#, "uri belongs to the type URI alone"),
        ],
    },
    Stated { at: &[".spec.controllerName"], rules: &[("self == oldSelf", "it cannot be changed")] },
    Stated {
        at: &[".spec.addresses"],
        rules: &[
            (
                "self.all(a1, a1.type == 'IPAddress' && has(a1.value) ? self.exists_one(a2, a2.type == a1.type && has(a2.value) && a2.value == a1.value) : true )",
                "an address can be named once",
            ),
            (
                "self.all(a1, a1.type == 'Hostname'  && has(a1.value) ? self.exists_one(a2, a2.type == a1.type && has(a2.value) && a2.value == a1.value) : true )",
                "a host name can be named once",
            ),
        ],
    },
    Stated {
        at: &[".spec.addresses[]"],
        rules: &[(
            r#"self.type == 'Hostname' ? (!has(self.value) || self.value.matches(r"""^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$""")): true"#,
            "a host name has lower-case letters, digits, `-` and `.`, and may begin with `*.`",
        )],
    },
    Stated {
        at: &[".annotations", ".labels"],
        rules: &[
            (
                r#"self.all(key, key.matches(r"""^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$"""))"#,
                "a key is a name of at most 63 characters, perhaps behind a domain and `/`",
            ),
            (r#"self.all(key, key.split("/")[0].size() < 253)"#, "the domain of a key has at most 252 characters"),
        ],
    },
    Stated {
        at: &[".spec.listeners"],
        rules: &[
            (
                "self.all(l, l.protocol in ['HTTP', 'TCP', 'UDP'] ? !has(l.tls) : true)",
                "tls belongs to the protocols HTTPS and TLS alone",
            ),
            (
                "self.all(l, (l.protocol == 'HTTPS' && has(l.tls)) ? (l.tls.mode == '' || l.tls.mode == 'Terminate') : true)",
                "the protocol HTTPS needs the mode Terminate",
            ),
            (
                "self.all(l, (l.protocol == 'TLS' ? has(l.tls) && has(l.tls.mode) && l.tls.mode != '' : true))",
                "the protocol TLS needs tls.mode",
            ),
            (
                "self.all(l, l.protocol in ['TCP', 'UDP']  ? (!has(l.hostname) || l.hostname == '') : true)",
                "the protocols TCP and UDP have no hostname",
            ),
            ("self.all(l1, self.exists_one(l2, l1.name == l2.name))", "the names of listeners have to differ"),
        ],
    },
    Stated {
        at: &["gateways.spec.listeners"],
        rules: &[(
            "self.all(l1, self.exists_one(l2, l1.port == l2.port && l1.protocol == l2.protocol && (has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname : !has(l1.hostname) && !has(l2.hostname))))",
            "port, protocol and hostname together can be named once",
        )],
    },
    Stated {
        at: &[".listeners[].tls"],
        rules: &[(
            "self.mode == 'Terminate' ? size(self.certificateRefs) > 0 || size(self.options) > 0 : true",
            "the mode Terminate needs certificateRefs or options",
        )],
    },
    Stated {
        at: &[".perPort"],
        rules: &[("self.all(t1, self.exists_one(t2, t1.port == t2.port))", "a port can be named once")],
    },
    Stated {
        at: &[".status.addresses[]"],
        rules: &[(
            r#"self.type == 'Hostname' ? self.value.matches(r"""^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"""): true"#,
            "a host name has lower-case letters, digits, `-` and `.`, and may begin with `*.`",
        )],
    },
    Stated {
        at: &[".parentRefs"],
        rules: &[
            (
                "self.all(p1, self.all(p2, p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name && (((!has(p1.__namespace__) || p1.__namespace__ == '') && (!has(p2.__namespace__) || p2.__namespace__ == '')) || (has(p1.__namespace__) && has(p2.__namespace__) && p1.__namespace__ == p2.__namespace__)) ? ((!has(p1.sectionName) || p1.sectionName == '') == (!has(p2.sectionName) || p2.sectionName == '') && (!has(p1.port) || p1.port == 0) == (!has(p2.port) || p2.port == 0)): true))",
                "sectionName or port is needed in each of several references to one parent",
            ),
            (
                "self.all(p1, self.exists_one(p2, p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name && (((!has(p1.__namespace__) || p1.__namespace__ == '') && (!has(p2.__namespace__) || p2.__namespace__ == '')) || (has(p1.__namespace__) && has(p2.__namespace__) && p1.__namespace__ == p2.__namespace__ )) && (((!has(p1.sectionName) || p1.sectionName == '') && (!has(p2.sectionName) || p2.sectionName == '')) || ( has(p1.sectionName) && has(p2.sectionName) && p1.sectionName == p2.sectionName)) && (((!has(p1.port) || p1.port == 0) && (!has(p2.port) || p2.port == 0)) || (has(p1.port) && has(p2.port) && p1.port == p2.port))))",
                "each sectionName and port of one parent can be named once",
            ),
        ],
    },
    Stated {
        at: &["grpcroutes.spec.rules", "httproutes.spec.rules"],
        rules: &[(
            "self.all(l1, !has(l1.name) || self.exists_one(l2, has(l2.name) && l1.name == l2.name))",
            "the names of rules have to differ",
        )],
    },
    Stated {
        at: &[".backendRefs[]", ".backendRef"],
        rules: &[(
            "(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true",
            "a Service needs its port",
        )],
    },
    Stated {
        at: &[".filters"],
        rules: &[
            (
                "self.filter(f, f.type == 'RequestHeaderModifier').size() <= 1",
                "there can be one filter RequestHeaderModifier at most",
            ),
            (
                "self.filter(f, f.type == 'ResponseHeaderModifier').size() <= 1",
                "there can be one filter ResponseHeaderModifier at most",
            ),
        ],
    },
    Stated {
        at: &[".filters[]"],
        rules: &[
            (
                "!(has(self.requestHeaderModifier) && self.type != 'RequestHeaderModifier')",
                "requestHeaderModifier belongs to the type RequestHeaderModifier alone",
            ),
            (
                "!(!has(self.requestHeaderModifier) && self.type == 'RequestHeaderModifier')",
                "the type RequestHeaderModifier needs requestHeaderModifier",
            ),
            (
                "!(has(self.responseHeaderModifier) && self.type != 'ResponseHeaderModifier')",
                "responseHeaderModifier belongs to the type ResponseHeaderModifier alone",
            ),
            (
                "!(!has(self.responseHeaderModifier) && self.type == 'ResponseHeaderModifier')",
                "the type ResponseHeaderModifier needs responseHeaderModifier",
            ),
            (
                "!(has(self.requestMirror) && self.type != 'RequestMirror')",
                "requestMirror belongs to the type RequestMirror alone",
            ),
            (
                "!(!has(self.requestMirror) && self.type == 'RequestMirror')",
                "the type RequestMirror needs requestMirror",
            ),
            (
                "!(has(self.extensionRef) && self.type != 'ExtensionRef')",
                "extensionRef belongs to the type ExtensionRef alone",
            ),
            ("!(!has(self.extensionRef) && self.type == 'ExtensionRef')", "the type ExtensionRef needs extensionRef"),
        ],
    },
    Stated {
        at: &[".requestMirror"],
        rules: &[("!(has(self.percent) && has(self.fraction))", "percent and fraction exclude each other")],
    },
    Stated {
        at: &[".fraction"],
        rules: &[("self.numerator <= self.denominator", "the numerator cannot exceed the denominator")],
    },
    Stated {
        at: &["grpcroutes.spec.rules[].matches[].method"],
        rules: &[
            ("has(self.type) ? has(self.service) || has(self.method) : true", "service or method is needed"),
            (
                r#"(!has(self.type) || self.type == 'Exact') && has(self.service) ? self.service.matches(r"""^(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$"""): true"#,
                "a service's name has letters, digits, `_` and `.`",
            ),
            (
                r#"(!has(self.type) || self.type == 'Exact') && has(self.method) ? self.method.matches(r"""^[A-Za-z_][A-Za-z_0-9]*$"""): true"#,
                "a method's name has letters, digits and `_`",
            ),
        ],
    },
    Stated {
        at: &[".sessionPersistence"],
        rules: &[
            (
                "!has(self.cookie) || !has(self.cookie.lifetimeType) || self.cookie.lifetimeType != 'Permanent' || has(self.absoluteTimeout)",
                "a cookie that is Permanent needs absoluteTimeout",
            ),
            ("!has(self.cookie) || self.type == 'Cookie'", "cookie belongs to the type Cookie alone"),
            ("self.type != 'Cookie' || has(self.cookie)", "the type Cookie needs cookie"),
            ("!has(self.header) || self.type == 'Header'", "header belongs to the type Header alone"),
            ("self.type != 'Header' || has(self.header)", "the type Header needs header"),
        ],
    },
    Stated {
        at: &["httproutes.spec.rules[]"],
        rules: &[
            (
                "(has(self.backendRefs) && size(self.backendRefs) > 0) ? (!has(self.filters) || self.filters.all(f, !has(f.requestRedirect))): true",
                "a redirect leaves nothing for backendRefs",
            ),
            (
                "(has(self.filters) && self.filters.exists_one(f, has(f.requestRedirect) && has(f.requestRedirect.path) && f.requestRedirect.path.type == 'ReplacePrefixMatch' && has(f.requestRedirect.path.replacePrefixMatch))) ? ((size(self.matches) != 1 || !has(self.matches[0].path) || self.matches[0].path.type != 'PathPrefix') ? false : true) : true",
                "replacePrefixMatch of a redirect needs exactly one match, by PathPrefix",
            ),
            (
                "(has(self.filters) && self.filters.exists_one(f, has(f.urlRewrite) && has(f.urlRewrite.path) && f.urlRewrite.path.type == 'ReplacePrefixMatch' && has(f.urlRewrite.path.replacePrefixMatch))) ? ((size(self.matches) != 1 || !has(self.matches[0].path) || self.matches[0].path.type != 'PathPrefix') ? false : true) : true",
                "replacePrefixMatch of a rewrite needs exactly one match, by PathPrefix",
            ),
            (
                "(has(self.backendRefs) && self.backendRefs.exists_one(b, (has(b.filters) && b.filters.exists_one(f, has(f.requestRedirect) && has(f.requestRedirect.path) && f.requestRedirect.path.type == 'ReplacePrefixMatch' && has(f.requestRedirect.path.replacePrefixMatch))) )) ? ((size(self.matches) != 1 || !has(self.matches[0].path) || self.matches[0].path.type != 'PathPrefix') ? false : true) : true",
                "replacePrefixMatch of a backend's redirect needs exactly one match, by PathPrefix",
            ),
            (
                "(has(self.backendRefs) && self.backendRefs.exists_one(b, (has(b.filters) && b.filters.exists_one(f, has(f.urlRewrite) && has(f.urlRewrite.path) && f.urlRewrite.path.type == 'ReplacePrefixMatch' && has(f.urlRewrite.path.replacePrefixMatch))) )) ? ((size(self.matches) != 1 || !has(self.matches[0].path) || self.matches[0].path.type != 'PathPrefix') ? false : true) : true",
                "replacePrefixMatch of a backend's rewrite needs exactly one match, by PathPrefix",
            ),
        ],
    },
    Stated {
        at: &["httproutes.spec.rules[].backendRefs[].filters", "httproutes.spec.rules[].filters"],
        rules: &[
            (
                "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))",
                "RequestRedirect and URLRewrite exclude each other",
            ),
            ("self.filter(f, f.type == 'CORS').size() <= 1", "there can be one filter CORS at most"),
            (
                "self.filter(f, f.type == 'RequestRedirect').size() <= 1",
                "there can be one filter RequestRedirect at most",
            ),
            ("self.filter(f, f.type == 'URLRewrite').size() <= 1", "there can be one filter URLRewrite at most"),
        ],
    },
    Stated {
        at: &["httproutes.spec.rules[].backendRefs[].filters[]", "httproutes.spec.rules[].filters[]"],
        rules: &[
            ("!(has(self.cors) && self.type != 'CORS')", "cors belongs to the type CORS alone"),
            ("!(!has(self.cors) && self.type == 'CORS')", "the type CORS needs cors"),
            (
                "!(has(self.requestRedirect) && self.type != 'RequestRedirect')",
                "requestRedirect belongs to the type RequestRedirect alone",
            ),
            (
                "!(!has(self.requestRedirect) && self.type == 'RequestRedirect')",
                "the type RequestRedirect needs requestRedirect",
            ),
            ("!(has(self.urlRewrite) && self.type != 'URLRewrite')", "urlRewrite belongs to the type URLRewrite alone"),
            ("!(!has(self.urlRewrite) && self.type == 'URLRewrite')", "the type URLRewrite needs urlRewrite"),
            (
                "!(has(self.externalAuth) && self.type != 'ExternalAuth')",
                "externalAuth belongs to the type ExternalAuth alone",
            ),
            ("!(!has(self.externalAuth) && self.type == 'ExternalAuth')", "the type ExternalAuth needs externalAuth"),
        ],
    },
    Stated {
        at: &[".allowHeaders", ".allowMethods", ".allowOrigins"],
        rules: &[("!('*' in self && self.size() > 1)", "`*` stands alone")],
    },
    Stated {
        at: &[".externalAuth"],
        rules: &[
            ("self.protocol == 'GRPC' ? has(self.grpc) : true", "the protocol GRPC needs grpc"),
            ("has(self.grpc) ? self.protocol == 'GRPC' : true", "grpc belongs to the protocol GRPC alone"),
            ("self.protocol == 'HTTP' ? has(self.http) : true", "the protocol HTTP needs http"),
            ("has(self.http) ? self.protocol == 'HTTP' : true", "http belongs to the protocol HTTP alone"),
        ],
    },
    Stated {
        at: &[".requestRedirect.path", ".urlRewrite.path"],
        rules: &[
            (
                "self.type == 'ReplaceFullPath' ? has(self.replaceFullPath) : true",
                "the type ReplaceFullPath needs replaceFullPath",
            ),
            (
                "has(self.replaceFullPath) ? self.type == 'ReplaceFullPath' : true",
                "replaceFullPath belongs to the type ReplaceFullPath alone",
            ),
            (
                "self.type == 'ReplacePrefixMatch' ? has(self.replacePrefixMatch) : true",
                "the type ReplacePrefixMatch needs replacePrefixMatch",
            ),
            (
                "has(self.replacePrefixMatch) ? self.type == 'ReplacePrefixMatch' : true",
                "replacePrefixMatch belongs to the type ReplacePrefixMatch alone",
            ),
        ],
    },
    Stated {
        at: &[".matches[].path"],
        rules: &[
            ("(self.type in ['Exact','PathPrefix']) ? self.value.startsWith('/') : true", "a path begins with `/`"),
            ("(self.type in ['Exact','PathPrefix']) ? !self.value.contains('//') : true", "a path has no `//`"),
            ("(self.type in ['Exact','PathPrefix']) ? !self.value.contains('/./') : true", "a path has no `/./`"),
            ("(self.type in ['Exact','PathPrefix']) ? !self.value.contains('/../') : true", "a path has no `/../`"),
            ("(self.type in ['Exact','PathPrefix']) ? !self.value.contains('%2f') : true", "a path has no `%2f`"),
            ("(self.type in ['Exact','PathPrefix']) ? !self.value.contains('%2F') : true", "a path has no `%2F`"),
            ("(self.type in ['Exact','PathPrefix']) ? !self.value.contains('#') : true", "a path has no `#`"),
            (
                "(self.type in ['Exact','PathPrefix']) ? !self.value.endsWith('/..') : true",
                "a path does not end in `/..`",
            ),
            (
                "(self.type in ['Exact','PathPrefix']) ? !self.value.endsWith('/.') : true",
                "a path does not end in `/.`",
            ),
            (
                "self.type in ['Exact','PathPrefix'] || self.type == 'RegularExpression'",
                "the type has to be Exact, PathPrefix or RegularExpression",
            ),
            (
                r#"(self.type in ['Exact','PathPrefix']) ? self.value.matches(r"""^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$""") : true"#,
                "a path has the characters of a URL's path",
            ),
        ],
    },
    Stated {
        at: &[".timeouts"],
        rules: &[(
            "!(has(self.request) && has(self.backendRequest) && duration(self.request) != duration('0s') && duration(self.backendRequest) > duration(self.request))",
            "backendRequest cannot be longer than request",
        )],
    },
    Stated {
        at: &["listenersets.spec.listeners"],
        rules: &[(
            "self.all(l1, !has(l1.port) || self.exists_one(l2, has(l2.port) && l1.port == l2.port && l1.protocol == l2.protocol && (has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname : !has(l1.hostname) && !has(l2.hostname))))",
            "port, protocol and hostname together can be named once",
        )],
    },
    Stated {
        at: &["tlsroutes.spec.hostnames"],
        rules: &[
            ("self.all(h, !isIP(h))", "a host name is no IP address"),
            (
                r#"self.all(h, !h.contains('*') ? h.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$') : true)"#,
                "a host name has lower-case letters, digits, `-` and `.`",
            ),
            (
                r#"self.all(h, h.contains('*') ? (h.startsWith('*.') && h.substring(2).matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$')) : true)"#,
                "`*` can be the first label of a host name alone",
            ),
        ],
    },
];
