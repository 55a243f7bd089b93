//! Bodies in protobuf, as kubectl's `create` commands send them.
//!
//! Answers are always JSON, which every client that sends protobuf accepts. Of the kinds, those that kubectl makes from its command line
//! are read, with the fields in the tables below (numbers as in Kubernetes' `generated.proto` files). A field that no table
//! has is refused by name of its message and number, never dropped.

use serde_json::{Map, Value};

use super::failure::Failure;

/// What a protobuf body begins with.
const MAGIC: &[u8] = b"k8s\0";

/// Deepest nesting of messages.
const DEPTH: usize = 16;

/// How a field is read. Kubernetes' messages carry fields that are not set as empty ones, so those count as absent, but for the
/// optional ones, where a zero means zero.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Int,
    OptionalInt,
    Bool,
    OptionalBool,
    TextMap,
    BytesMap,
    IntOrText,
    Message(&'static Message),
    Messages(&'static Message),
    /// A message whose fields are the outer one's in JSON.
    Inline(&'static Message),
    /// The server sets it itself.
    Ignored,
}

struct Message {
    name: &'static str,
    fields: &'static [(u64, &'static str, Kind)],
}

use Kind::{Bool, BytesMap, Ignored, Int, IntOrText, Messages, OptionalBool, OptionalInt, Text, TextMap, Texts};

static METADATA: Message = Message {
    name: "ObjectMeta",
    fields: &[
        (1, "name", Text),
        (2, "generateName", Text),
        (3, "namespace", Text),
        (4, "selfLink", Ignored),
        (5, "uid", Text),
        (6, "resourceVersion", Text),
        (7, "generation", Ignored),
        (8, "creationTimestamp", Ignored),
        (9, "deletionTimestamp", Ignored),
        (10, "deletionGracePeriodSeconds", Ignored),
        (11, "labels", TextMap),
        (12, "annotations", TextMap),
        (13, "ownerReferences", Messages(&OWNER)),
        (14, "finalizers", Texts),
    ],
};

static OWNER: Message = Message {
    name: "OwnerReference",
    fields: &[
        (1, "kind", Text),
        (3, "name", Text),
        (4, "uid", Text),
        (5, "apiVersion", Text),
        (6, "controller", OptionalBool),
        (7, "blockOwnerDeletion", OptionalBool),
    ],
};

static REFERENCE: Message = Message { name: "ObjectReference", fields: &[(1, "kind", Text), (3, "name", Text)] };
static LOCAL_REFERENCE: Message = Message { name: "LocalObjectReference", fields: &[(1, "name", Text)] };

static LABEL_SELECTOR: Message = Message { name: "LabelSelector", fields: &[(1, "matchLabels", TextMap)] };

static CONTAINER: Message = Message {
    name: "Container",
    fields: &[
        (1, "name", Text),
        (2, "image", Text),
        (3, "command", Texts),
        (4, "args", Texts),
        (5, "workingDir", Text),
        (
            6,
            "ports",
            Messages(&Message {
                name: "ContainerPort",
                fields: &[
                    (1, "name", Text),
                    (2, "hostPort", Int),
                    (3, "containerPort", Int),
                    (4, "protocol", Text),
                    (5, "hostIP", Text),
                ],
            }),
        ),
        (7, "env", Messages(&Message { name: "EnvVar", fields: &[(1, "name", Text), (2, "value", Text)] })),
        (8, "resources", Kind::Message(&Message { name: "ResourceRequirements", fields: &[] })),
        (13, "terminationMessagePath", Text),
        (14, "imagePullPolicy", Text),
        (16, "stdin", Bool),
        (17, "stdinOnce", Bool),
        (18, "tty", Bool),
        (20, "terminationMessagePolicy", Text),
    ],
};

static POD_SPEC: Message = Message {
    name: "PodSpec",
    fields: &[
        (2, "containers", Messages(&CONTAINER)),
        (3, "restartPolicy", Text),
        (4, "terminationGracePeriodSeconds", OptionalInt),
        (6, "dnsPolicy", Text),
        (7, "nodeSelector", TextMap),
        (8, "serviceAccountName", Text),
        (9, "serviceAccount", Text),
        (10, "nodeName", Text),
        (11, "hostNetwork", Bool),
        (12, "hostPID", Bool),
        (13, "hostIPC", Bool),
        (14, "securityContext", Kind::Message(&Message { name: "PodSecurityContext", fields: &[] })),
        (16, "hostname", Text),
        (17, "subdomain", Text),
        (19, "schedulerName", Text),
        (20, "initContainers", Messages(&CONTAINER)),
        (24, "priorityClassName", Text),
    ],
};

static POD_TEMPLATE: Message = Message {
    name: "PodTemplateSpec",
    fields: &[(1, "metadata", Kind::Message(&METADATA)), (2, "spec", Kind::Message(&POD_SPEC))],
};

static JOB_SPEC: Message = Message {
    name: "JobSpec",
    fields: &[
        (1, "parallelism", OptionalInt),
        (2, "completions", OptionalInt),
        (3, "activeDeadlineSeconds", OptionalInt),
        (4, "selector", Kind::Message(&LABEL_SELECTOR)),
        (5, "manualSelector", OptionalBool),
        (6, "template", Kind::Message(&POD_TEMPLATE)),
        (7, "backoffLimit", OptionalInt),
        (8, "ttlSecondsAfterFinished", OptionalInt),
        (9, "completionMode", Text),
        (10, "suspend", OptionalBool),
    ],
};

static CRON_JOB_SPEC: Message = Message {
    name: "CronJobSpec",
    fields: &[
        (1, "schedule", Text),
        (2, "startingDeadlineSeconds", OptionalInt),
        (3, "concurrencyPolicy", Text),
        (4, "suspend", OptionalBool),
        (
            5,
            "jobTemplate",
            Kind::Message(&Message {
                name: "JobTemplateSpec",
                fields: &[(1, "metadata", Kind::Message(&METADATA)), (2, "spec", Kind::Message(&JOB_SPEC))],
            }),
        ),
        (6, "successfulJobsHistoryLimit", OptionalInt),
        (7, "failedJobsHistoryLimit", OptionalInt),
        (8, "timeZone", Text),
    ],
};

static DEPLOYMENT_SPEC: Message = Message {
    name: "DeploymentSpec",
    fields: &[
        (1, "replicas", OptionalInt),
        (2, "selector", Kind::Message(&LABEL_SELECTOR)),
        (3, "template", Kind::Message(&POD_TEMPLATE)),
        (4, "strategy", Kind::Message(&Message { name: "DeploymentStrategy", fields: &[(1, "type", Text)] })),
        (5, "minReadySeconds", Int),
        (6, "revisionHistoryLimit", OptionalInt),
        (7, "paused", Bool),
        (9, "progressDeadlineSeconds", OptionalInt),
    ],
};

static SERVICE_SPEC: Message = Message {
    name: "ServiceSpec",
    fields: &[
        (
            1,
            "ports",
            Messages(&Message {
                name: "ServicePort",
                fields: &[
                    (1, "name", Text),
                    (2, "protocol", Text),
                    (3, "port", Int),
                    (4, "targetPort", IntOrText),
                    (5, "nodePort", Int),
                    (6, "appProtocol", Text),
                ],
            }),
        ),
        (2, "selector", TextMap),
        (3, "clusterIP", Text),
        (4, "type", Text),
        (5, "externalIPs", Texts),
        (7, "sessionAffinity", Text),
        (8, "loadBalancerIP", Text),
        (10, "externalName", Text),
        (11, "externalTrafficPolicy", Text),
        (12, "healthCheckNodePort", Int),
        (13, "publishNotReadyAddresses", Bool),
        (17, "ipFamilyPolicy", Text),
        (18, "clusterIPs", Texts),
        (19, "ipFamilies", Texts),
        (22, "internalTrafficPolicy", Text),
    ],
};

static POLICY_RULE: Message = Message {
    name: "PolicyRule",
    fields: &[
        (1, "verbs", Texts),
        (2, "apiGroups", Texts),
        (3, "resources", Texts),
        (4, "resourceNames", Texts),
        (5, "nonResourceURLs", Texts),
    ],
};

static SUBJECT: Message = Message {
    name: "Subject",
    fields: &[(1, "kind", Text), (2, "apiGroup", Text), (3, "name", Text), (4, "namespace", Text)],
};

static ROLE_REF: Message =
    Message { name: "RoleRef", fields: &[(1, "apiGroup", Text), (2, "kind", Text), (3, "name", Text)] };

static INGRESS_BACKEND: Message = Message {
    name: "IngressBackend",
    fields: &[(
        4,
        "service",
        Kind::Message(&Message {
            name: "IngressServiceBackend",
            fields: &[
                (1, "name", Text),
                (
                    2,
                    "port",
                    Kind::Message(&Message {
                        name: "ServiceBackendPort",
                        fields: &[(1, "name", Text), (2, "number", Int)],
                    }),
                ),
            ],
        }),
    )],
};

static INGRESS_RULE_VALUE: Message = Message {
    name: "IngressRuleValue",
    fields: &[(
        1,
        "http",
        Kind::Message(&Message {
            name: "HTTPIngressRuleValue",
            fields: &[(
                1,
                "paths",
                Messages(&Message {
                    name: "HTTPIngressPath",
                    fields: &[
                        (1, "path", Text),
                        (2, "backend", Kind::Message(&INGRESS_BACKEND)),
                        (3, "pathType", Text),
                    ],
                }),
            )],
        }),
    )],
};

static INGRESS_SPEC: Message = Message {
    name: "IngressSpec",
    fields: &[
        (1, "defaultBackend", Kind::Message(&INGRESS_BACKEND)),
        (2, "tls", Messages(&Message { name: "IngressTLS", fields: &[(1, "hosts", Texts), (2, "secretName", Text)] })),
        (
            3,
            "rules",
            Messages(&Message {
                name: "IngressRule",
                fields: &[(1, "host", Text), (2, "", Kind::Inline(&INGRESS_RULE_VALUE))],
            }),
        ),
        (4, "ingressClassName", Text),
    ],
};

static DISRUPTION_BUDGET_SPEC: Message = Message {
    name: "PodDisruptionBudgetSpec",
    fields: &[
        (1, "minAvailable", IntOrText),
        (2, "selector", Kind::Message(&LABEL_SELECTOR)),
        (3, "maxUnavailable", IntOrText),
    ],
};

static AUTOSCALER_SPEC: Message = Message {
    name: "HorizontalPodAutoscalerSpec",
    fields: &[
        (
            1,
            "scaleTargetRef",
            Kind::Message(&Message {
                name: "CrossVersionObjectReference",
                fields: &[(1, "kind", Text), (2, "name", Text), (3, "apiVersion", Text)],
            }),
        ),
        (2, "minReplicas", OptionalInt),
        (3, "maxReplicas", Int),
        (
            4,
            "metrics",
            Messages(&Message {
                name: "MetricSpec",
                fields: &[
                    (1, "type", Text),
                    (
                        4,
                        "resource",
                        Kind::Message(&Message {
                            name: "ResourceMetricSource",
                            fields: &[
                                (1, "name", Text),
                                (
                                    2,
                                    "target",
                                    Kind::Message(&Message {
                                        name: "MetricTarget",
                                        fields: &[(1, "type", Text), (4, "averageUtilization", OptionalInt)],
                                    }),
                                ),
                            ],
                        }),
                    ),
                ],
            }),
        ),
    ],
};

/// A kind with metadata, a specification and a status.
macro_rules! object {
    ($name:literal, $spec:expr) => {
        Message {
            name: $name,
            fields: &[
                (1, "metadata", Kind::Message(&METADATA)),
                (2, "spec", Kind::Message(&$spec)),
                (3, "status", Ignored),
            ],
        }
    };
}

/// A role of either scope.
macro_rules! role {
    ($name:literal) => {
        Message {
            name: $name,
            fields: &[(1, "metadata", Kind::Message(&METADATA)), (2, "rules", Messages(&POLICY_RULE))],
        }
    };
}

/// A binding of either scope.
macro_rules! binding {
    ($name:literal) => {
        Message {
            name: $name,
            fields: &[
                (1, "metadata", Kind::Message(&METADATA)),
                (2, "subjects", Messages(&SUBJECT)),
                (3, "roleRef", Kind::Message(&ROLE_REF)),
            ],
        }
    };
}

/// The kinds that are read.
static KINDS: &[Message] = &[
    object!("Namespace", Message { name: "NamespaceSpec", fields: &[(1, "finalizers", Texts)] }),
    object!("Deployment", DEPLOYMENT_SPEC),
    object!("Job", JOB_SPEC),
    object!("CronJob", CRON_JOB_SPEC),
    object!("Service", SERVICE_SPEC),
    object!("Pod", POD_SPEC),
    object!("Ingress", INGRESS_SPEC),
    object!("PodDisruptionBudget", DISRUPTION_BUDGET_SPEC),
    object!("HorizontalPodAutoscaler", AUTOSCALER_SPEC),
    object!(
        "SelfSubjectRulesReview",
        Message { name: "SelfSubjectRulesReviewSpec", fields: &[(1, "namespace", Text)] }
    ),
    role!("Role"),
    role!("ClusterRole"),
    binding!("RoleBinding"),
    binding!("ClusterRoleBinding"),
    object!(
        "TokenRequest",
        Message {
            name: "TokenRequestSpec",
            fields: &[
                (1, "audiences", Texts),
                (
                    3,
                    "boundObjectRef",
                    Kind::Message(&Message {
                        name: "BoundObjectReference",
                        fields: &[(1, "kind", Text), (2, "apiVersion", Text), (3, "name", Text), (4, "uid", Text)],
                    })
                ),
                (4, "expirationSeconds", OptionalInt),
            ],
        }
    ),
    object!(
        "SelfSubjectAccessReview",
        Message {
            name: "SelfSubjectAccessReviewSpec",
            fields: &[
                (
                    1,
                    "resourceAttributes",
                    Kind::Message(&Message {
                        name: "ResourceAttributes",
                        fields: &[
                            (1, "namespace", Text),
                            (2, "verb", Text),
                            (3, "group", Text),
                            (4, "version", Text),
                            (5, "resource", Text),
                            (6, "subresource", Text),
                            (7, "name", Text),
                        ],
                    })
                ),
                (
                    2,
                    "nonResourceAttributes",
                    Kind::Message(&Message {
                        name: "NonResourceAttributes",
                        fields: &[(1, "path", Text), (2, "verb", Text)],
                    })
                ),
            ],
        }
    ),
    Message { name: "SelfSubjectReview", fields: &[(1, "metadata", Kind::Message(&METADATA)), (2, "status", Ignored)] },
    Message {
        name: "ConfigMap",
        fields: &[
            (1, "metadata", Kind::Message(&METADATA)),
            (2, "data", TextMap),
            (3, "binaryData", BytesMap),
            (4, "immutable", OptionalBool),
        ],
    },
    Message {
        name: "Secret",
        fields: &[
            (1, "metadata", Kind::Message(&METADATA)),
            (2, "data", BytesMap),
            (3, "type", Text),
            (4, "stringData", TextMap),
            (5, "immutable", OptionalBool),
        ],
    },
    Message {
        name: "ServiceAccount",
        fields: &[
            (1, "metadata", Kind::Message(&METADATA)),
            (2, "secrets", Messages(&REFERENCE)),
            (3, "imagePullSecrets", Messages(&LOCAL_REFERENCE)),
            (4, "automountServiceAccountToken", OptionalBool),
        ],
    },
    Message {
        name: "DeleteOptions",
        fields: &[
            (1, "gracePeriodSeconds", OptionalInt),
            (
                2,
                "preconditions",
                Kind::Message(&Message {
                    name: "Preconditions",
                    fields: &[(1, "uid", Text), (2, "resourceVersion", Text)],
                }),
            ),
            (3, "orphanDependents", OptionalBool),
            (4, "propagationPolicy", Text),
            (5, "dryRun", Texts),
        ],
    },
];

/// The object in a body.
pub(super) fn parse(body: &[u8]) -> Result<Value, Failure> {
    let wrong = |why: String| Failure::bad_request(format!("the body is not a protobuf object: {why}"));
    let envelope = body.strip_prefix(MAGIC).ok_or_else(|| wrong("it does not begin with k8s".to_owned()))?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(envelope) {
        match field.map_err(wrong)? {
            (1, Wire::Bytes(types)) => {
                for field in Fields(types) {
                    match field.map_err(wrong)? {
                        (1, Wire::Bytes(text)) => api_version = text_of(text).map_err(wrong)?,
                        (2, Wire::Bytes(text)) => kind = text_of(text).map_err(wrong)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let message = KINDS
        .iter()
        .find(|message| message.name == kind)
        .ok_or_else(|| Failure::unsupported_media_type("application/json, application/yaml"))?;
    let mut object = read(message, raw, 0).map_err(wrong)?;
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    Ok(object.into())
}

fn read(message: &Message, bytes: &[u8], depth: usize) -> Result<Map<String, Value>, String> {
    if depth > DEPTH {
        return Err("it is nested too deeply".to_owned());
    }
    let mut map = Map::new();
    for field in Fields(bytes) {
        let (number, value) = field?;
        let Some((_, name, kind)) = message.fields.iter().find(|(known, _, _)| *known == number) else {
            return Err(format!("field {number} of {} cannot be read: send JSON instead", message.name));
        };
        let key = || (*name).to_owned();
        let mut push = |value: Value| {
            if let Some(list) = map.entry(key()).or_insert_with(|| Value::Array(Vec::new())).as_array_mut() {
                list.push(value);
            }
        };
        match (kind, value) {
            (Ignored, _) => {}
            (Text, Wire::Bytes(text)) => {
                if !text.is_empty() {
                    map.insert(key(), text_of(text)?.into());
                }
            }
            (Texts, Wire::Bytes(text)) => push(text_of(text)?.into()),
            (Int | OptionalInt, Wire::Number(number)) => {
                if number != 0 || matches!(kind, OptionalInt) {
                    map.insert(key(), number.cast_signed().into());
                }
            }
            (Bool | OptionalBool, Wire::Number(number)) => {
                if number != 0 || matches!(kind, OptionalBool) {
                    map.insert(key(), (number != 0).into());
                }
            }
            (Kind::Message(message), Wire::Bytes(bytes)) => {
                map.insert(key(), read(message, bytes, depth + 1)?.into());
            }
            (Kind::Inline(message), Wire::Bytes(bytes)) => map.extend(read(message, bytes, depth + 1)?),
            (Messages(message), Wire::Bytes(bytes)) => push(read(message, bytes, depth + 1)?.into()),
            (TextMap | BytesMap, Wire::Bytes(bytes)) => {
                let (name, content) = pair(bytes)?;
                let content = match kind {
                    TextMap => text_of(content)?.into(),
                    _ => serde_json::to_value(k8s_openapi::ByteString(content.to_vec())).unwrap_or_default(),
                };
                if let Some(map) = map.entry(key()).or_insert_with(|| Map::new().into()).as_object_mut() {
                    map.insert(name, content);
                }
            }
            (IntOrText, Wire::Bytes(bytes)) => {
                if let Some(value) = int_or_text(bytes)? {
                    map.insert(key(), value);
                }
            }
            _ => return Err(format!("{}.{name} has another type", message.name)),
        }
    }
    Ok(map)
}

fn text_of(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a text is not UTF-8".to_owned())
}

/// One entry of a map.
fn pair(bytes: &[u8]) -> Result<(String, &[u8]), String> {
    let (mut key, mut value) = (String::new(), &[][..]);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(bytes)) => key = text_of(bytes)?,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

fn int_or_text(bytes: &[u8]) -> Result<Option<Value>, String> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(bytes)) => text = text_of(bytes)?,
            _ => {}
        }
    }
    Ok(match (is_text, number) {
        (true, _) => Some(text.into()),
        (false, 0) => None,
        (false, number) => Some(number.into()),
    })
}

/// A value on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message: number and value.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or_else(|| "it is cut short".to_owned());
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Wire<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
        out.extend_from_slice(content);
        out
    }

    fn namespace(metadata: &[u8]) -> Vec<u8> {
        let types = [field(1, b"v1"), field(2, b"Namespace")].concat();
        [MAGIC.to_vec(), field(1, &types), field(2, &field(1, metadata))].concat()
    }

    #[test]
    fn reads_a_namespace_and_refuses_what_it_does_not_know() {
        let label = field(11, &[field(1, b"a"), field(2, b"b")].concat());
        let body = namespace(&[field(1, b"shop"), field(2, b""), label].concat());
        assert_eq!(
            parse(&body).unwrap(),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}})
        );
        let unknown = parse(&namespace(&field(15, b"x"))).unwrap_err();
        assert!(unknown.message.contains("field 15 of ObjectMeta"), "{}", unknown.message);
        for cut in 0..body.len() {
            // Any prefix is refused or read, never a panic.
            let _ = parse(&body[..cut]);
        }
    }
}
