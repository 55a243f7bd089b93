//! AuthorizationPolicy: who may do what at a workload.

use super::authorization_values::{Attribute, IpBlock, PathMatch, PortText, ServiceAccount, TextMatch};
use super::field::{Limit, names, record};
use super::peer_authentication::WorkloadSelector;
use super::policy_target::{ONE_ATTACHMENT, TargetRef};
use super::rules::authorization_policy as rules;

record! {
    /// Who may do what at a workload.
    ///
    /// Requests that a CUSTOM policy's provider or a DENY policy refuses are refused; then those that no ALLOW policy allows,
    /// if there is one.
    pub struct AuthorizationPolicy {
        /// The workloads; all of the namespace, or of the mesh in its root namespace, if nothing says which.
        selector: Option<WorkloadSelector> = "selector";
        /// The object that the policy is attached to. Use targetRefs.
        target_ref: Option<TargetRef> = "targetRef";
        /// The objects that the policy is attached to.
        target_refs: Vec<TargetRef> = "targetRefs" [Limit::MaxItems(16)];
        /// The requests that the policy is about. None means no request, an empty rule means every request.
        rules: Vec<Rule> = "rules" [Limit::MaxItems(512)];
        /// What becomes of them; ALLOW if not said.
        action: Option<Action> = "action";
        /// Who is asked, where the action is CUSTOM.
        provider: Option<Provider> = "provider";
    }
    one_of: &[&["provider"]];
    cel: &[ONE_ATTACHMENT];
    check: rules::authorization_policy;
}

names! {
    /// What becomes of requests that a rule matches.
    pub enum Action {
        /// They are allowed.
        Allow = "ALLOW",
        /// They are refused.
        Deny = "DENY",
        /// They are noted.
        Audit = "AUDIT",
        /// A provider decides.
        Custom = "CUSTOM",
    }
}

record! {
    /// Who is asked.
    pub struct Provider {
        /// The provider's name in the mesh's settings.
        name: Option<String> = "name";
    }
}

record! {
    /// Requests: those from one of the sources, for one of the operations, for which every condition holds.
    pub struct Rule {
        /// The sources; any if not said.
        from: Vec<From> = "from" [Limit::MaxItems(512), Limit::NotEmpty];
        /// The operations; any if not said.
        to: Vec<To> = "to" [Limit::NotEmpty];
        /// The conditions.
        when: Vec<Condition> = "when";
    }
}

record! {
    /// A source.
    pub struct From {
        /// The source.
        source: Option<Source> = "source";
    }
    check: rules::from;
}

record! {
    /// Where a request comes from. Every field that is set has to hold.
    pub struct Source {
        /// Names in the client's certificate, without `spiffe://`.
        principals: Vec<TextMatch> = "principals";
        /// Names that the client's must not be.
        not_principals: Vec<TextMatch> = "notPrincipals";
        /// Issuer and subject of the request's token, with `/` between.
        request_principals: Vec<TextMatch> = "requestPrincipals";
        /// Those that the token's must not be.
        not_request_principals: Vec<TextMatch> = "notRequestPrincipals";
        /// Namespaces of the client.
        namespaces: Vec<TextMatch> = "namespaces";
        /// Namespaces that the client's must not be.
        not_namespaces: Vec<TextMatch> = "notNamespaces";
        /// Addresses of the connection's other end.
        ip_blocks: Vec<IpBlock> = "ipBlocks";
        /// Addresses that it must not have.
        not_ip_blocks: Vec<IpBlock> = "notIpBlocks";
        /// Addresses of the client, by the headers that trusted proxies set.
        remote_ip_blocks: Vec<IpBlock> = "remoteIpBlocks";
        /// Addresses that it must not have.
        not_remote_ip_blocks: Vec<IpBlock> = "notRemoteIpBlocks";
        /// Service accounts of the client, in the policy's namespace unless they say another.
        service_accounts: Vec<ServiceAccount> = "serviceAccounts" [Limit::MaxItems(16), Limit::ItemsMaxLength(320)];
        /// Service accounts that the client's must not be.
        not_service_accounts: Vec<ServiceAccount> = "notServiceAccounts" [Limit::MaxItems(16), Limit::ItemsMaxLength(320)];
        /// Trust domains of the client.
        trust_domains: Vec<TextMatch> = "trustDomains";
        /// Trust domains that the client's must not be.
        not_trust_domains: Vec<TextMatch> = "notTrustDomains";
    }
    cel: &[(
        "(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? (!has(self.principals) && !has(self.notPrincipals) && !has(self.namespaces) && !has(self.notNamespaces)) : true",
        "serviceAccounts cannot be set with namespaces or principals",
    )];
    check: rules::source;
}

record! {
    /// An operation.
    pub struct To {
        /// The operation.
        operation: Option<Operation> = "operation";
    }
    check: rules::to;
}

record! {
    /// What a request asks for. Every field that is set has to hold.
    pub struct Operation {
        /// The hosts, whatever their letters' case.
        hosts: Vec<TextMatch> = "hosts";
        /// Hosts that it must not be for.
        not_hosts: Vec<TextMatch> = "notHosts";
        /// The workload's ports.
        ports: Vec<PortText> = "ports";
        /// Ports that it must not be for.
        not_ports: Vec<PortText> = "notPorts";
        /// The methods.
        methods: Vec<TextMatch> = "methods";
        /// Methods that it must not have.
        not_methods: Vec<TextMatch> = "notMethods";
        /// The paths, without the query.
        paths: Vec<PathMatch> = "paths";
        /// Paths that it must not be for.
        not_paths: Vec<PathMatch> = "notPaths";
    }
    check: rules::operation;
}

record! {
    /// A condition on an attribute of the request.
    pub struct Condition {
        /// The attribute.
        key: Attribute = "key";
        /// The values that it may have.
        values: Vec<String> = "values";
        /// The values that it must not have.
        not_values: Vec<String> = "notValues";
    }
    check: rules::condition;
}
