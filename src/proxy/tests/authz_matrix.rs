//! Policies and requests, and what becomes of them: read by the tests that decide in process and by those that ask over sockets.
//!
//! A policy is the `spec` of an AuthorizationPolicy of the workload's namespace `shop`; `#root` before it puts it into the root
//! namespace, `#dry-run` has it only tried out. A request is `+` or `-` (allowed, refused), method, target, and what is to be known:
//! `from=[DOMAIN:]NAMESPACE/ACCOUNT`, `host=`, `h.NAME=VALUE`, and what only a test in process can choose: `ip=`, `port=`,
//! `sni=`, and `TCP` instead of method and target for a connection whose bytes are not looked at.

/// (policies, requests)
pub const MATRIX: &[(&[&str], &[&str])] = &[
    // What applies at all.
    (&[], &["+ GET /", "+ TCP", "+ DELETE /x from=shop/web"]),
    (&["{}"], &["- GET /", "- TCP", "- GET / from=shop/web"]),
    (&["{rules: [{}]}"], &["+ GET /", "+ TCP", "+ GET / from=shop/web"]),
    (&["{action: DENY, rules: [{}]}"], &["- GET /", "- TCP", "- GET / from=shop/web"]),
    (&["{action: AUDIT, rules: [{}]}"], &["+ GET /", "+ TCP"]),
    (&["{selector: {matchLabels: {app: other}}}"], &["+ GET /"]),
    (&["{selector: {matchLabels: {app: web}}}"], &["- GET /"]),
    (&["{selector: {matchLabels: {app: web, version: v2}}}"], &["+ GET /"]),
    (&["#root {}"], &["- GET /"]),
    (&["#root {selector: {matchLabels: {app: web}}}"], &["- GET /"]),
    (&["#root {selector: {matchLabels: {app: other}}}"], &["+ GET /"]),
    (&["#dry-run {}"], &["+ GET /"]),
    (&["#dry-run {action: DENY, rules: [{}]}", "{rules: [{}]}"], &["+ GET /"]),
    // The order of actions.
    (
        &[
            "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}",
            "{action: ALLOW, rules: [{to: [{operation: {methods: [GET]}}]}]}",
        ],
        &["+ GET /", "- GET /admin", "- POST /", "- POST /admin", "- TCP"],
    ),
    (
        &["{rules: [{to: [{operation: {methods: [GET]}}]}]}", "{rules: [{to: [{operation: {methods: [POST]}}]}]}"],
        &["+ GET /", "+ POST /", "- PUT /"],
    ),
    (&["{action: AUDIT, rules: [{}]}", "{rules: [{to: [{operation: {methods: [GET]}}]}]}"], &["+ GET /", "- PUT /"]),
    (
        &["{rules: [{to: [{operation: {methods: [GET]}}]}, {to: [{operation: {paths: [/p]}}]}]}"],
        &["+ GET /x", "+ PUT /p", "- PUT /x"],
    ),
    (
        &["{rules: [{to: [{operation: {methods: [GET], paths: [/a]}}, {operation: {methods: [PUT]}}]}]}"],
        &["+ GET /a", "+ PUT /b", "- GET /b"],
    ),
    // Principals.
    (
        &["{rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]}"],
        &[
            "+ GET / from=shop/web",
            "- GET / from=shop/webx",
            "- GET / from=shopx/web",
            "- GET / from=other.org:shop/web",
            "- GET /",
            "+ TCP from=shop/web",
            "- TCP",
        ],
    ),
    (
        &["{rules: [{from: [{source: {principals: ['cluster.local/ns/shop/*']}}]}]}"],
        &["+ GET / from=shop/web", "+ GET / from=shop/api", "- GET / from=bank/web", "- GET /"],
    ),
    (
        &["{rules: [{from: [{source: {principals: ['*/sa/web']}}]}]}"],
        &[
            "+ GET / from=shop/web",
            "+ GET / from=bank/web",
            "+ GET / from=other.org:bank/web",
            "- GET / from=shop/api",
            "- GET /",
        ],
    ),
    (
        &["{rules: [{from: [{source: {principals: ['*']}}]}]}"],
        &["+ GET / from=shop/web", "- GET /", "- TCP", "+ TCP from=a/b"],
    ),
    (
        &["{action: DENY, rules: [{from: [{source: {principals: ['*/sa/web']}}]}]}"],
        &["- GET / from=shop/web", "+ GET / from=shop/api", "+ GET /", "- TCP from=shop/web", "+ TCP"],
    ),
    (
        &["{rules: [{from: [{source: {notPrincipals: [cluster.local/ns/shop/sa/web]}}]}]}"],
        &["- GET / from=shop/web", "+ GET / from=shop/api", "- GET /", "- TCP"],
    ),
    (
        &["{action: DENY, rules: [{from: [{source: {notPrincipals: [cluster.local/ns/shop/sa/web]}}]}]}"],
        &["+ GET / from=shop/web", "- GET / from=shop/api", "- GET /", "- TCP", "+ TCP from=shop/web"],
    ),
    (
        // The mesh is called another name as well.
        &["{rules: [{from: [{source: {principals: [old.example.org/ns/shop/sa/web]}}]}]}"],
        &["+ GET / from=shop/web", "+ GET / from=old.example.org:shop/web", "- GET / from=other.org:shop/web"],
    ),
    (
        &["{action: DENY, rules: [{from: [{source: {principals: ['old.example.org/ns/shop/*']}}]}]}"],
        &["- GET / from=shop/web", "- GET / from=old.example.org:shop/api", "+ GET / from=bank/web"],
    ),
    // A dot is a dot, and a star in the middle is a star.
    (
        &["{rules: [{from: [{source: {principals: ['cluster.local/ns/a.b/sa/w', '*/sa/we.b']}}]}]}"],
        &["- GET / from=axb/w", "- GET / from=shop/wexb", "+ GET / from=shop/we.b"],
    ),
    // Namespaces and service accounts.
    (
        &["{rules: [{from: [{source: {namespaces: [shop]}}]}]}"],
        &["+ GET / from=shop/web", "- GET / from=bank/web", "- GET / from=shopx/web", "- GET /", "+ TCP from=shop/a"],
    ),
    (
        &["{rules: [{from: [{source: {namespaces: ['sh*', '*nk']}}]}]}"],
        &["+ GET / from=shop/web", "+ GET / from=bank/web", "- GET / from=other/web", "- GET /"],
    ),
    (
        &["{rules: [{from: [{source: {notNamespaces: [bank]}}]}]}"],
        &["+ GET / from=shop/web", "- GET / from=bank/web", "- GET /"],
    ),
    (
        &["{action: DENY, rules: [{from: [{source: {notNamespaces: [shop]}}]}]}"],
        &["+ GET / from=shop/web", "- GET / from=bank/web", "- GET /"],
    ),
    (
        &["{action: DENY, rules: [{from: [{source: {namespaces: [bank]}}]}]}"],
        &["+ GET / from=shop/web", "- GET / from=bank/web", "+ GET /"],
    ),
    (
        &["{rules: [{from: [{source: {serviceAccounts: [web, bank/teller]}}]}]}"],
        &[
            "+ GET / from=shop/web",
            "- GET / from=bank/web",
            "+ GET / from=bank/teller",
            "- GET / from=shop/teller",
            "- GET /",
        ],
    ),
    (
        &["{rules: [{from: [{source: {notServiceAccounts: [web]}}]}]}"],
        &["- GET / from=shop/web", "+ GET / from=bank/web", "- GET /"],
    ),
    (
        &["{rules: [{from: [{source: {trustDomains: [cluster.local]}}]}]}"],
        &["+ GET / from=shop/web", "- GET / from=other.org:shop/web", "- GET /"],
    ),
    (
        &["{rules: [{from: [{source: {notTrustDomains: [other.org]}}]}]}"],
        &[
            "+ GET / from=shop/web",
            "- GET / from=other.org:shop/web",
            "- GET /",
            "- TCP from=other.org:shop/web",
            "- TCP",
        ],
    ),
    (
        &["{action: DENY, rules: [{from: [{source: {notTrustDomains: [cluster.local]}}]}]}"],
        &["+ GET / from=shop/web", "- GET / from=other.org:shop/web", "- GET /"],
    ),
    // All fields of a source have to hold, and one source of several.
    (
        &[
            "{rules: [{from: [{source: {namespaces: [shop], principals: ['*/sa/web']}}, {source: {namespaces: [bank]}}]}]}",
        ],
        &["+ GET / from=shop/web", "- GET / from=shop/api", "+ GET / from=bank/x", "- GET / from=other/web"],
    ),
    // Addresses.
    (
        &["{rules: [{from: [{source: {ipBlocks: [127.0.0.1]}}]}]}"],
        &["+ GET /", "+ TCP", "- GET / ip=127.0.0.2", "- GET / ip=10.0.0.1", "+ GET / ip=::ffff:127.0.0.1"],
    ),
    (
        &["{rules: [{from: [{source: {ipBlocks: [10.1.0.0/16, 'fd00::/8']}}]}]}"],
        &[
            "- GET /",
            "+ GET / ip=10.1.2.3",
            "- GET / ip=10.2.0.1",
            "+ GET / ip=fd12::1",
            "- GET / ip=fe80::1",
            "+ TCP ip=10.1.0.1",
        ],
    ),
    (
        &["{action: DENY, rules: [{from: [{source: {notIpBlocks: [127.0.0.0/8]}}]}]}"],
        &["+ GET /", "- GET / ip=10.0.0.1", "- GET / ip=::1", "- TCP ip=10.0.0.1"],
    ),
    (
        &["{rules: [{from: [{source: {remoteIpBlocks: [203.0.113.0/24]}}]}]}"],
        &[
            "+ GET / h.x-forwarded-for=203.0.113.7",
            "+ GET / h.x-forwarded-for=10.0.0.1,203.0.113.7",
            "- GET / h.x-forwarded-for=203.0.113.7,10.0.0.1",
            "- GET / h.x-forwarded-for=203.0.113.7,evil",
            "- GET /",
        ],
    ),
    (
        &["{action: DENY, rules: [{from: [{source: {notRemoteIpBlocks: [203.0.113.0/24]}}]}]}"],
        &["+ GET / h.x-forwarded-for=203.0.113.7", "- GET /", "- GET / h.x-forwarded-for=x"],
    ),
    // Hosts.
    (
        &["{rules: [{to: [{operation: {hosts: [Web.Example.com]}}]}]}"],
        &[
            "+ GET / host=web.example.com",
            "+ GET / host=WEB.example.COM",
            "+ GET / host=web.example.com:8080",
            "+ GET / host=web.example.com.",
            "- GET / host=web.example.org",
            "- GET / host=a.web.example.com",
            "+ GET http://web.example.com/ host=other.org",
            "- GET http://other.org/ host=web.example.com",
        ],
    ),
    (
        &["{action: DENY, rules: [{to: [{operation: {hosts: ['*.example.com', 'admin*']}}]}]}"],
        &[
            "- GET / host=a.example.com",
            "- GET / host=A.EXAMPLE.COM:80",
            "- GET / host=a.example.com.",
            "+ GET / host=example.com",
            "- GET / host=admin.org",
            "+ GET / host=web.org",
        ],
    ),
    (
        &["{action: DENY, rules: [{to: [{operation: {hosts: ['web.org:8080', 'api.org:*']}}]}]}"],
        &[
            "- GET / host=web.org:8080",
            "+ GET / host=web.org:8081",
            "+ GET / host=web.org",
            "- GET / host=api.org:1",
            "- GET / host=api.org",
        ],
    ),
    (
        &["{rules: [{to: [{operation: {notHosts: [web.org]}}]}]}"],
        &["- GET / host=web.org", "- GET / host=WEB.org.", "+ GET / host=api.org"],
    ),
    (&["{rules: [{to: [{operation: {hosts: ['*']}}]}]}"], &["+ GET / host=x.y"]),
    // Ports.
    (
        &["{rules: [{to: [{operation: {ports: ['8080', '9090']}}]}]}"],
        &["+ GET / port=8080", "+ TCP port=9090", "- GET / port=80"],
    ),
    (
        &["{action: DENY, rules: [{to: [{operation: {notPorts: ['8080']}}]}]}"],
        &["+ GET / port=8080", "- GET / port=80", "- TCP port=80"],
    ),
    // Methods.
    (
        &["{rules: [{to: [{operation: {methods: [GET, 'P*']}}]}]}"],
        &["+ GET /", "+ PUT /", "+ POST /", "- DELETE /", "- get /"],
    ),
    (
        &["{action: DENY, rules: [{to: [{operation: {methods: [DELETE]}}]}]}"],
        &["- DELETE /", "- delete /", "- DeLeTe /", "+ GET /"],
    ),
    (&["{rules: [{to: [{operation: {notMethods: [DELETE]}}]}]}"], &["+ GET /", "- DELETE /", "- delete /"]),
    (&["{action: DENY, rules: [{to: [{operation: {notMethods: [GET]}}]}]}"], &["+ GET /", "- get /", "- PUT /"]),
    // Paths: what servers take for the same is the same.
    (
        &["{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}"],
        &[
            "- GET /admin",
            "- GET /admin?x=1",
            "- GET /admin/",
            "- GET //admin",
            "- GET /admin//",
            "- GET /./admin",
            "- GET /x/../admin",
            "- GET /%61dmin",
            "- GET /%2Fadmin",
            "- GET /x/..%2Fadmin",
            "- GET /x%2f..%2fadmin",
            "- GET /admin%2F",
            "- GET /admin;v=1",
            "- GET /x/..;/admin",
            "- GET \\admin",
            "- GET /x\\..\\admin",
            "- GET /x%5C..%5Cadmin",
            "- GET /admin#x",
            "- GET http://web/admin",
            "+ GET /administrator",
            "+ GET /admin/x",
            "+ GET /ADMIN",
            "+ GET /x?y=/admin",
        ],
    ),
    (
        &["{action: DENY, rules: [{to: [{operation: {paths: ['/admin*', '*/secret']}}]}]}"],
        &[
            "- GET /admin/x",
            "- GET /administrator",
            "- GET //admin/x",
            "- GET /a/secret",
            "- GET /a/secret/",
            "- GET /a/secret;x",
            "- GET /a%2Fsecret",
            "+ GET /a/secrets",
            "+ GET /a/secret/b",
        ],
    ),
    (
        &["{rules: [{to: [{operation: {paths: ['/public/*', /info/]}}]}]}"],
        &[
            "+ GET /public/a",
            "+ GET /public/a/b?x",
            "+ GET /public/",
            "- GET /public",
            "- GET /public/../admin",
            "- GET /public/..%2Fadmin",
            "- GET /public/%2e%2e/admin",
            "- GET /public/..;/admin",
            "- GET /public\\..\\admin",
            "- GET /public/..%5Cadmin",
            "+ GET /info/",
            "- GET /info",
            "- GET /admin?x=/public/",
        ],
    ),
    (
        &["{rules: [{to: [{operation: {notPaths: [/admin]}}]}]}"],
        &[
            "+ GET /",
            "- GET /admin",
            "- GET /admin/",
            "- GET //admin",
            "- GET /x/..%2Fadmin",
            "- GET /admin;x",
            "+ GET /admin/x",
        ],
    ),
    (
        &["{action: DENY, rules: [{to: [{operation: {notPaths: ['/public/*']}}]}]}"],
        &["+ GET /public/x", "- GET /admin", "- GET /public/..%2Fadmin", "- GET /public/..;/admin"],
    ),
    (
        &["{rules: [{to: [{operation: {paths: ['/a/{*}/c', '/r/{**}', '/f/{**}/x']}}]}]}"],
        &[
            "+ GET /a/b/c",
            "- GET /a/c",
            "- GET /a//c",
            "- GET /a/b/b/c",
            "- GET /a/b/c/d",
            "+ GET /r/",
            "+ GET /r/a/b",
            "- GET /r",
            "+ GET /f/a/b/x",
            "- GET /f/a/b/y",
            "- GET /a/b%2Fb/c",
        ],
    ),
    (&["{rules: [{to: [{operation: {paths: ['*']}}]}]}"], &["+ GET /", "+ OPTIONS *", "- TCP"]),
    // Headers.
    (
        &["{rules: [{when: [{key: 'request.headers[x-role]', values: [admin, 'op*', '*-x']}]}]}"],
        &[
            "+ GET / h.x-role=admin",
            "+ GET / h.X-Role=admin",
            "+ GET / h.x-role=operator",
            "+ GET / h.x-role=a-x",
            "- GET / h.x-role=Admin",
            "- GET / h.x-role=user",
            "- GET / h.x-role=admin h.x-role=user",
            "- GET / h.x_role=admin",
            "- GET /",
        ],
    ),
    (
        &["{action: DENY, rules: [{when: [{key: 'request.headers[x-role]', values: [guest]}]}]}"],
        &[
            "- GET / h.x-role=guest",
            "- GET / h.x-role=user h.x-role=guest",
            "- GET / h.x-role=guest,user",
            "- GET / h.x_role=guest",
            "+ GET / h.x-role=user",
            "+ GET /",
        ],
    ),
    (
        &["{action: DENY, rules: [{when: [{key: 'request.headers[x-any]', values: ['*']}]}]}"],
        &["- GET / h.x-any=1", "+ GET /"],
    ),
    (
        &["{action: DENY, rules: [{when: [{key: 'request.headers[x-token]', notValues: [good]}]}]}"],
        &["+ GET / h.x-token=good", "- GET / h.x-token=bad", "- GET /", "- GET / h.x-token=good h.x-token=bad"],
    ),
    (
        &["{rules: [{when: [{key: 'request.headers[x-token]', notValues: [bad]}]}]}"],
        &["+ GET / h.x-token=good", "- GET / h.x-token=bad", "- GET / h.x-token=good,bad", "+ GET /"],
    ),
    (&["{rules: [{when: [{key: 'request.headers[:method]', values: [GET]}]}]}"], &["+ GET /", "- PUT /"]),
    (
        &["{rules: [{when: [{key: 'request.headers[host]', values: [web.org]}]}]}"],
        &["+ GET / host=WEB.org", "- GET / host=x.org"],
    ),
    // Other conditions.
    (
        &["{rules: [{when: [{key: source.namespace, values: [shop]}]}]}"],
        &["+ GET / from=shop/a", "- GET / from=b/a", "- GET /"],
    ),
    (
        &["{rules: [{when: [{key: source.namespace, notValues: [bank]}]}]}"],
        &["+ GET / from=shop/a", "- GET / from=bank/a", "- GET /"],
    ),
    (
        &["{rules: [{when: [{key: source.principal, values: ['*/sa/a']}]}]}"],
        &["+ GET / from=shop/a", "- GET / from=shop/b", "- GET /"],
    ),
    (
        &["{rules: [{when: [{key: source.serviceAccount, values: [shop/a]}]}]}"],
        &["+ GET / from=shop/a", "- GET / from=bank/a"],
    ),
    (
        &["{rules: [{when: [{key: source.trustDomain, values: [cluster.local]}]}]}"],
        &["+ GET / from=shop/a", "- GET / from=o.org:shop/a"],
    ),
    (&["{rules: [{when: [{key: source.ip, values: [127.0.0.0/8]}]}]}"], &["+ GET /", "- GET / ip=10.0.0.1"]),
    (&["{rules: [{when: [{key: remote.ip, values: [1.2.3.4]}]}]}"], &["+ GET / h.x-forwarded-for=1.2.3.4", "- GET /"]),
    (&["{rules: [{when: [{key: destination.ip, values: [127.0.0.1]}]}]}"], &["+ GET /", "+ TCP"]),
    (&["{rules: [{when: [{key: destination.port, values: ['8080']}]}]}"], &["+ GET / port=8080", "- GET / port=1"]),
    (
        &["{rules: [{when: [{key: connection.sni, values: ['*.example.com']}]}]}"],
        &["+ TCP sni=A.example.com", "- TCP sni=x.org", "- TCP"],
    ),
    (&["{rules: [{when: [{key: 'experimental.envoy.filters.a.b[c]', values: [d]}]}]}"], &["- GET /", "- TCP"]),
    (
        &["{action: DENY, rules: [{when: [{key: 'experimental.envoy.filters.a.b[c]', values: [d]}]}]}"],
        &["- GET /", "- TCP"],
    ),
    (
        &["{rules: [{when: [{key: source.namespace, values: [shop]}, {key: 'request.headers[x]', values: [one]}]}]}"],
        &["+ GET / from=shop/a h.x=one", "- GET / from=shop/a", "- GET / h.x=one"],
    ),
    // Tokens that are not there.
    (&["{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}"], &["- GET /", "- TCP"]),
    (&["{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}"], &["- GET /"]),
    (&["{rules: [{when: [{key: 'request.auth.claims[groups]', values: [a]}]}]}"], &["- GET /", "- TCP"]),
    (&["{action: DENY, rules: [{when: [{key: 'request.auth.claims[groups]', values: [a]}]}]}"], &["+ GET /", "- TCP"]),
    // A connection is not asked what only requests have: an ALLOW rule about them allows none, a DENY rule denies all.
    (
        &["{rules: [{to: [{operation: {methods: [GET]}}]}, {from: [{source: {namespaces: [shop]}}]}]}"],
        &["- TCP", "+ TCP from=shop/a", "+ GET /"],
    ),
    (
        &["{action: DENY, rules: [{from: [{source: {namespaces: [bank]}}], to: [{operation: {paths: [/x]}}]}]}"],
        &["- TCP from=bank/a", "+ TCP from=shop/a", "+ TCP", "- GET /x from=bank/a", "+ GET /y from=bank/a"],
    ),
    (
        &["{action: DENY, rules: [{to: [{operation: {hosts: [x.org], ports: ['8080']}}]}]}"],
        &["- TCP port=8080", "+ TCP port=80"],
    ),
    // The same of ALLOW: what asks about requests allows no connection, whatever else its rule says.
    (
        &["{rules: [{from: [{source: {namespaces: [shop]}}], to: [{operation: {hosts: [x.org]}}]}]}"],
        &["- TCP from=shop/a", "- TCP", "+ GET / host=x.org from=shop/a", "- GET / host=x.org from=bank/a"],
    ),
    (
        &["{rules: [{to: [{operation: {ports: ['8080'], methods: [GET]}}, {operation: {ports: ['9090']}}]}]}"],
        &["- TCP port=8080", "+ TCP port=9090", "+ GET / port=8080", "- PUT / port=8080", "+ PUT / port=9090"],
    ),
    (
        &["{rules: [{when: [{key: 'request.headers[x]', values: [a]}]}, {to: [{operation: {ports: ['90']}}]}]}"],
        &["- TCP", "+ TCP port=90", "+ GET / h.x=a"],
    ),
    (&["{action: DENY, rules: [{to: [{operation: {notMethods: [GET]}}]}]}"], &["- TCP"]),
    (
        &["{action: DENY, rules: [{to: [{operation: {notHosts: [x.org]}}]}]}"],
        &["- TCP", "- GET / host=y.org", "+ GET / host=x.org"],
    ),
    (&["{action: AUDIT, rules: [{to: [{operation: {paths: [/x]}}]}]}"], &["+ TCP", "+ GET /x"]),
    // The not-form of every condition.
    (
        &["{rules: [{when: [{key: source.principal, notValues: ['cluster.local/ns/bank/*']}]}]}"],
        &["+ GET / from=shop/a", "- GET / from=bank/a", "- GET /", "- TCP"],
    ),
    (
        &["{rules: [{when: [{key: source.serviceAccount, notValues: [bank/a]}]}]}"],
        &["+ GET / from=shop/a", "- GET / from=bank/a", "- GET /"],
    ),
    (
        &["{rules: [{when: [{key: source.trustDomain, notValues: [other.org]}]}]}"],
        &["+ GET / from=shop/a", "- GET / from=other.org:shop/a", "- GET /"],
    ),
    (
        &["{action: DENY, rules: [{when: [{key: source.trustDomain, values: [old.example.org]}]}]}"],
        &["- GET / from=shop/a", "- GET / from=old.example.org:shop/a", "+ GET / from=other.org:shop/a", "+ GET /"],
    ),
    (
        &["{rules: [{when: [{key: source.ip, notValues: [10.0.0.0/8]}]}]}"],
        &["+ GET /", "- GET / ip=10.0.0.1", "+ TCP", "- TCP ip=10.0.0.1", "- GET / ip=::ffff:10.0.0.1"],
    ),
    (
        &["{action: DENY, rules: [{when: [{key: source.ip, values: [10.0.0.0/8, 'fd00::/8']}]}]}"],
        &["+ GET /", "- GET / ip=10.0.0.1", "- TCP ip=fd00::1", "+ TCP ip=fe80::1"],
    ),
    (
        &["{rules: [{when: [{key: remote.ip, notValues: [1.2.3.0/24]}]}]}"],
        &["+ GET /", "- GET / h.x-forwarded-for=1.2.3.4", "- GET / h.x-forwarded-for=nobody"],
    ),
    (&["{rules: [{when: [{key: destination.ip, notValues: [10.0.0.0/8]}]}]}"], &["+ GET /", "+ TCP"]),
    (&["{action: DENY, rules: [{when: [{key: destination.ip, values: [127.0.0.0/8]}]}]}"], &["- GET /", "- TCP"]),
    (
        &["{rules: [{when: [{key: destination.port, notValues: ['8080']}]}]}"],
        &["- GET / port=8080", "+ GET / port=90", "- TCP port=8080", "+ TCP port=90"],
    ),
    (
        &["{action: DENY, rules: [{when: [{key: destination.port, values: ['8080', '90']}]}]}"],
        &["- GET / port=8080", "- TCP port=90", "+ TCP port=91"],
    ),
    (
        &["{action: DENY, rules: [{when: [{key: connection.sni, values: [a.example.com]}]}]}"],
        &["- TCP sni=a.example.com", "- TCP sni=A.Example.Com", "+ TCP sni=b.example.com", "+ TCP"],
    ),
    (
        &["{action: DENY, rules: [{when: [{key: connection.sni, notValues: ['*.example.com']}]}]}"],
        &["+ TCP sni=a.example.com", "- TCP sni=x.org", "- TCP"],
    ),
    (
        &["{rules: [{when: [{key: 'request.headers[:path]', values: ['/public/*']}]}]}"],
        &["+ GET /public/x", "- GET /admin", "- GET /public/..%2Fadmin", "- TCP"],
    ),
    (
        &["{action: DENY, rules: [{when: [{key: 'request.headers[:path]', values: [/admin]}]}]}"],
        &["- GET /admin", "- GET //admin", "- GET /admin;x", "- GET /%61dmin", "+ GET /x"],
    ),
    (
        &["{action: DENY, rules: [{when: [{key: 'request.headers[:authority]', notValues: [web.org]}]}]}"],
        &["+ GET / host=web.org", "+ GET / host=WEB.org.", "- GET / host=x.org", "- TCP"],
    ),
    (
        &["{rules: [{when: [{key: 'request.headers[:method]', notValues: [DELETE]}]}]}"],
        &["+ GET /", "- DELETE /", "- delete /", "- TCP"],
    ),
    (
        // One of the values, and none of the others.
        &["{rules: [{when: [{key: 'request.headers[x]', values: ['a*'], notValues: [ab]}]}]}"],
        &["+ GET / h.x=aa", "- GET / h.x=ab", "- GET / h.x=b", "- GET /"],
    ),
    // Fields and their not-forms together.
    (
        &["{rules: [{from: [{source: {namespaces: [shop], notPrincipals: ['*/sa/evil']}}]}]}"],
        &["+ GET / from=shop/a", "- GET / from=shop/evil", "- GET / from=bank/a", "- GET /"],
    ),
    (
        &["{rules: [{to: [{operation: {paths: ['/api/*'], notPaths: ['/api/admin*']}}]}]}"],
        &["+ GET /api/x", "- GET /api/admin", "- GET /api/./admin", "- GET /api/x/..%2Fadmin", "- GET /x"],
    ),
    (
        &["{action: DENY, rules: [{to: [{operation: {paths: ['/api/*'], notPaths: ['/api/public/*']}}]}]}"],
        &["- GET /api/x", "+ GET /api/public/x", "- GET /api/public/..;/x", "+ GET /x"],
    ),
    (
        &["{action: DENY, rules: [{from: [{source: {ipBlocks: [10.0.0.0/8], notIpBlocks: [10.1.0.0/16]}}]}]}"],
        &["- GET / ip=10.0.0.1", "+ GET / ip=10.1.0.1", "+ GET /", "- TCP ip=10.9.9.9"],
    ),
    (
        &["{action: DENY, rules: [{from: [{source: {notServiceAccounts: [web]}}]}]}"],
        &["+ GET / from=shop/web", "- GET / from=bank/web", "- GET / from=shop/api", "- GET /"],
    ),
    // Templates: one segment, the rest, and what only looks like one of them.
    (
        &["{rules: [{to: [{operation: {paths: ['/users/{*}/cart', '/{*}/health']}}]}]}"],
        &[
            "+ GET /users/7/cart",
            "+ GET /users/7/cart?x=/y",
            "- GET /users/7/8/cart",
            "- GET /users//cart",
            "- GET /users/7%2F8/cart",
            "- GET /users/7/cart/x",
            "+ GET /a/health",
            "- GET /health",
            "- GET /a/b/../b/health",
        ],
    ),
    (
        &["{action: DENY, rules: [{to: [{operation: {paths: ['/files/{**}']}}]}]}"],
        &["- GET /files/a", "- GET /files/a/b", "- GET //files/a", "- GET /x/..%2Ffiles/a", "+ GET /file/a"],
    ),
    (
        &["{action: DENY, rules: [{to: [{operation: {notPaths: ['/v/{*}']}}]}]}"],
        &["+ GET /v/1", "- GET /v/1/2", "- GET /v", "- GET /w/1"],
    ),
    // Dry-run of one action beside another in force.
    (&["#dry-run {action: DENY, rules: [{}]}"], &["+ GET /", "+ TCP"]),
    (&["#dry-run {rules: [{}]}"], &["+ GET /", "+ TCP"]),
    (&["#dry-run {rules: [{}]}", "{}"], &["- GET /", "- TCP"]),
];
