//! WasmPlugin and TrafficExtension: code that proxies run on traffic.

use super::field::{Limit, TextPattern, names, record};
use super::peer_authentication::WorkloadSelector;
use super::policy_target::{ONE_ATTACHMENT, TargetRef};
use super::rules::extension as rules;
use super::values::{Free, Port};

record! {
    /// A WebAssembly module that proxies run on traffic.
    pub struct WasmPlugin {
        /// The workloads; all of the namespace, or of the mesh in its root namespace, if nothing says which.
        selector: Option<WorkloadSelector> = "selector";
        /// The object that the module is attached to. Use targetRefs.
        target_ref: Option<TargetRef> = "targetRef";
        /// The objects that the module is attached to.
        target_refs: Vec<TargetRef> = "targetRefs" [Limit::MaxItems(16)];
        /// Where the module is.
        url: String = "url" [Limit::MinLength(1), Limit::Cel(URL)];
        /// The hash of the module.
        sha256: Option<String> = "sha256" [Limit::Pattern(SHA256)];
        /// When the module is fetched again.
        image_pull_policy: Option<PullPolicy> = "imagePullPolicy";
        /// The secret with which it is fetched.
        image_pull_secret: Option<String> = "imagePullSecret" [Limit::MinLength(1), Limit::MaxLength(253)];
        /// Not in use.
        verification_key: Option<String> = "verificationKey";
        /// What the module is told.
        plugin_config: Option<Free> = "pluginConfig";
        /// The module's name.
        plugin_name: Option<String> = "pluginName" [Limit::MinLength(1), Limit::MaxLength(256)];
        /// Where among the filters it stands.
        phase: Option<PluginPhase> = "phase";
        /// Those with a greater number come first.
        priority: Option<i32> = "priority" [Limit::Nullable];
        /// What becomes of traffic where the module does not work.
        fail_strategy: Option<FailStrategy> = "failStrategy";
        /// The environment that it runs in.
        vm_config: Option<VmConfig> = "vmConfig";
        /// The traffic.
        matches: Vec<TrafficMatch> = "match";
        /// What it runs on.
        plugin_type: Option<PluginType> = "type";
    }
    cel: &[ONE_ATTACHMENT];
    check: rules::wasm_plugin;
}

record! {
    /// Code that proxies run on traffic.
    pub struct TrafficExtension {
        /// The workloads; all of the namespace, or of the mesh in its root namespace, if nothing says which.
        selector: Option<WorkloadSelector> = "selector";
        /// The objects that the code is attached to.
        target_refs: Vec<TargetRef> = "targetRefs" [Limit::MaxItems(16)];
        /// Where among the filters it stands.
        phase: Option<ExtensionPhase> = "phase";
        /// Those with a greater number come first.
        priority: Option<i32> = "priority" [Limit::Nullable];
        /// The traffic.
        matches: Vec<TrafficMatch> = "match";
        /// A WebAssembly module.
        wasm: Option<Wasm> = "wasm";
        /// A script in Lua.
        lua: Option<Lua> = "lua";
    }
    one_of: &[&["wasm", "lua"]];
    cel: &[
        (
            "(has(self.selector) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1",
            "only one of selector and targetRefs can be set",
        ),
        ("has(self.wasm) != has(self.lua)", "one of wasm and lua has to be set"),
    ];
    check: rules::traffic_extension;
}

record! {
    /// A WebAssembly module.
    pub struct Wasm {
        /// Where the module is.
        url: String = "url" [Limit::MinLength(1), Limit::Cel(URL)];
        /// The hash of the module.
        sha256: Option<String> = "sha256" [Limit::Pattern(SHA256)];
        /// When the module is fetched again.
        image_pull_policy: Option<PullPolicy> = "imagePullPolicy";
        /// The secret with which it is fetched.
        image_pull_secret: Option<String> = "imagePullSecret" [Limit::MinLength(1), Limit::MaxLength(253)];
        /// Not in use.
        verification_key: Option<String> = "verificationKey";
        /// What the module is told.
        plugin_config: Option<Free> = "pluginConfig";
        /// The module's name.
        plugin_name: Option<String> = "pluginName" [Limit::MinLength(1), Limit::MaxLength(256)];
        /// What becomes of traffic where the module does not work.
        fail_strategy: Option<FailStrategy> = "failStrategy";
        /// The environment that it runs in.
        vm_config: Option<VmConfig> = "vmConfig";
        /// What it runs on.
        plugin_type: Option<PluginType> = "type";
    }
    check: rules::wasm;
}

record! {
    /// A script in Lua.
    pub struct Lua {
        /// The script.
        inline_code: String = "inlineCode" [Limit::MinLength(1), Limit::MaxLength(65536)];
    }
}

const URL: &[(&str, &str)] = &[(
    r#"isURL(self) ? (url(self).getScheme() in ["", "http", "https", "oci", "file"]) : (isURL("http://" + self) && url("http://" + self).getScheme() in ["", "http", "https", "oci", "file"])"#,
    "the URL's scheme has to be oci, http, https or file",
)];

const SHA256: TextPattern = TextPattern {
    pattern: "(^$|^[a-f0-9]{64}$)",
    holds: |text| text.is_empty() || (text.len() == 64 && text.bytes().all(|b| matches!(b, b'a'..=b'f' | b'0'..=b'9'))),
    sentence: "is no SHA-256: 64 digits from 0 to 9 and a to f",
};

names! {
    /// When a module is fetched again.
    pub enum PullPolicy {
        /// As its tag says: `latest` always, others if they are not there.
        Unspecified = "UNSPECIFIED_POLICY",
        /// If it is not there.
        IfNotPresent = "IfNotPresent",
        /// Whenever the plugin changes.
        Always = "Always",
    }
}

names! {
    /// Where among the filters a module stands.
    pub enum PluginPhase {
        /// At the end.
        Unspecified = "UNSPECIFIED_PHASE",
        /// Before authentication.
        Authn = "AUTHN",
        /// Before authorization.
        Authz = "AUTHZ",
        /// Before statistics.
        Stats = "STATS",
    }
}

names! {
    /// Where among the filters an extension stands.
    pub enum ExtensionPhase {
        /// At the end.
        Unspecified = "UNSPECIFIED",
        /// Before authentication.
        Authn = "AUTHN",
        /// Before authorization.
        Authz = "AUTHZ",
        /// Before statistics.
        Stats = "STATS",
    }
}

names! {
    /// What becomes of traffic where a module does not work.
    pub enum FailStrategy {
        /// It is refused.
        Close = "FAIL_CLOSE",
        /// It goes on without the module.
        Open = "FAIL_OPEN",
        /// The module is loaded again.
        Reload = "FAIL_RELOAD",
    }
}

names! {
    /// What a module runs on.
    pub enum PluginType {
        /// Requests.
        Unspecified = "UNSPECIFIED_PLUGIN_TYPE",
        /// Requests.
        Http = "HTTP",
        /// Connections.
        Network = "NETWORK",
    }
}

record! {
    /// The environment that a module runs in.
    pub struct VmConfig {
        /// Its variables.
        env: Vec<EnvVar> = "env" [Limit::MaxItems(256), Limit::UniqueBy("name")];
    }
}

record! {
    /// A variable of a module's environment.
    pub struct EnvVar {
        /// Its name.
        name: String = "name" [Limit::MinLength(1), Limit::MaxLength(256)];
        /// Where its value comes from; INLINE if not said.
        value_from: Option<ValueSource> = "valueFrom";
        /// Its value.
        value: Option<String> = "value" [Limit::MaxLength(2048)];
    }
    cel: &[(
        r#"(has(self.valueFrom) ? self.valueFrom : "") != "HOST" || !has(self.value)"#,
        "value goes with the valueFrom INLINE",
    )];
    check: rules::env_var;
}

names! {
    /// Where a variable's value comes from.
    pub enum ValueSource {
        /// It is written here.
        Inline = "INLINE",
        /// From the proxy's environment.
        Host = "HOST",
    }
}

record! {
    /// Traffic that an extension runs on.
    pub struct TrafficMatch {
        /// On which side.
        mode: Option<TrafficMode> = "mode";
        /// The ports; all if not said.
        ports: Vec<TrafficPort> = "ports" [Limit::UniqueBy("number")];
    }
}

names! {
    /// A side of a connection.
    pub enum TrafficMode {
        /// Both.
        Undefined = "UNDEFINED",
        /// The client's.
        Client = "CLIENT",
        /// The server's.
        Server = "SERVER",
        /// Both.
        ClientAndServer = "CLIENT_AND_SERVER",
    }
}

record! {
    /// A port.
    pub struct TrafficPort {
        /// Its number.
        number: Port = "number";
    }
}
