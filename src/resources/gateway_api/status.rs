//! What the Gateway API's controllers say about objects. Only the schema is made from these: what is written, the control plane
//! makes.

use serde_json::{Value, json};

use super::gateway::RouteKind;
use super::reference::ParentRef;
use super::text::{AddressType, ConditionMessage, ConditionType, ControllerName, Reason, SectionName, StatusAddress};
use crate::resources::field::{Cx, Field, Limit, names, record};

/// A moment (RFC 3339).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment(String);

impl Field for Moment {
    fn schema() -> Value {
        json!({"type": "string", "format": "date-time"})
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        String::decode(value, cx).map(Self)
    }

    fn encode(&self) -> Option<Value> {
        Some(self.0.as_str().into())
    }
}

/// How often an object's spec was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

impl Field for Generation {
    fn schema() -> Value {
        json!({"type": "integer", "format": "int64", "minimum": 0})
    }

    fn decode(value: &Value, cx: &mut Cx) -> Option<Self> {
        u64::decode(value, cx).map(Self)
    }

    fn encode(&self) -> Option<Value> {
        Some(self.0.into())
    }
}

record! {
    /// Something that holds of an object, or does not.
    pub struct Condition {
        /// What.
        condition_type: ConditionType = "type";
        /// Whether it holds.
        status: ConditionStatus = "status";
        /// Of which generation that is said.
        observed_generation: Option<Generation> = "observedGeneration";
        /// Since when.
        last_transition_time: Moment = "lastTransitionTime";
        /// Why, in a word.
        reason: Reason = "reason";
        /// Why, in a sentence.
        message: ConditionMessage = "message";
    }
}

names! {
    /// Whether a condition holds.
    pub enum ConditionStatus {
        /// It does.
        True = "True",
        /// It does not.
        False = "False",
        /// Nobody knows.
        Unknown = "Unknown",
    }
}

/// Conditions that hold until a controller has said something.
macro_rules! waiting {
    ($($condition:literal),+) => {
        concat!("[", waiting!(@list $($condition),+), "]")
    };
    (@list $first:literal $(, $rest:literal)*) => {
        concat!(
            r#"{"type": ""#, $first,
            r#"", "status": "Unknown", "reason": "Pending", "message": "Waiting for controller", "lastTransitionTime": "1970-01-01T00:00:00Z"}"#
            $(, ",", waiting!(@list $rest))*
        )
    };
}

pub(super) const CLASS_WAITING: &str = waiting!("Accepted");
pub(super) const GATEWAY_WAITING: &str = waiting!("Accepted", "Programmed");

record! {
    /// What is said of a GatewayClass.
    pub struct GatewayClassStatus {
        /// Conditions.
        conditions: Vec<Condition> = "conditions" [Limit::MaxItems(8), Limit::UniqueBy("type"), Limit::Default(CLASS_WAITING)];
        /// What of the Gateway API the controller supports.
        supported_features: Vec<SupportedFeature> = "supportedFeatures" [Limit::MaxItems(64), Limit::UniqueBy("name")];
    }
}

record! {
    /// A part of the Gateway API.
    pub struct SupportedFeature {
        /// Its name.
        name: String = "name";
    }
}

record! {
    /// What is said of a Gateway.
    pub struct GatewayStatus {
        /// The addresses that it is reached at.
        addresses: Vec<GatewayStatusAddress> = "addresses" [Limit::MaxItems(16), Limit::Atomic];
        /// Conditions.
        conditions: Vec<Condition> = "conditions" [Limit::MaxItems(8), Limit::UniqueBy("type"), Limit::Default(GATEWAY_WAITING)];
        /// Each listener.
        listeners: Vec<ListenerStatus> = "listeners" [Limit::MaxItems(64), Limit::UniqueBy("name")];
        /// How many ListenerSets add listeners.
        attached_listener_sets: Option<i32> = "attachedListenerSets";
    }
}

record! {
    /// What is said of a ListenerSet.
    pub struct ListenerSetStatus {
        /// Conditions.
        conditions: Vec<Condition> = "conditions" [Limit::MaxItems(8), Limit::UniqueBy("type"), Limit::Default(GATEWAY_WAITING)];
        /// Each listener.
        listeners: Vec<ListenerStatus> = "listeners" [Limit::MaxItems(64), Limit::UniqueBy("name")];
    }
}

record! {
    /// An address that a Gateway is reached at.
    pub struct GatewayStatusAddress {
        /// What sort it is.
        address_type: Option<AddressType> = "type" [Limit::Default("\"IPAddress\"")];
        /// The address.
        value: StatusAddress = "value";
    }
}

record! {
    /// What is said of a listener.
    pub struct ListenerStatus {
        /// Its name.
        name: SectionName = "name";
        /// The kinds of routes that it takes.
        supported_kinds: Vec<RouteKind> = "supportedKinds" [Limit::MaxItems(8), Limit::Atomic];
        /// How many routes are attached.
        attached_routes: i32 = "attachedRoutes";
        /// Conditions.
        conditions: Vec<Condition> = "conditions" [Limit::Required, Limit::MaxItems(8), Limit::UniqueBy("type")];
    }
}

record! {
    /// What is said of a route.
    pub struct RouteStatus {
        /// By whom, about which of its parents.
        parents: Vec<RouteParentStatus> = "parents" [Limit::Required, Limit::MaxItems(32), Limit::Atomic];
    }
}

record! {
    /// What is said of a route and one of its parents.
    pub struct RouteParentStatus {
        /// The parent.
        parent_ref: ParentRef = "parentRef";
        /// Who says it.
        controller_name: ControllerName = "controllerName";
        /// Conditions.
        conditions: Vec<Condition> = "conditions" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(8), Limit::UniqueBy("type")];
    }
}

record! {
    /// What is said of a policy.
    pub struct PolicyStatus {
        /// By whom, about which of the objects that it has a say in.
        ancestors: Vec<PolicyAncestorStatus> = "ancestors" [Limit::Required, Limit::MaxItems(16), Limit::Atomic];
    }
}

record! {
    /// What is said of a policy and one of the objects that it has a say in.
    pub struct PolicyAncestorStatus {
        /// The object.
        ancestor_ref: ParentRef = "ancestorRef";
        /// Who says it.
        controller_name: ControllerName = "controllerName";
        /// Conditions.
        conditions: Vec<Condition> = "conditions" [Limit::Required, Limit::MinItems(1), Limit::MaxItems(8), Limit::UniqueBy("type")];
    }
}
