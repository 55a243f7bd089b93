//! The Gateway API's controller: what is deployed for a Gateway, and what is written into the status of objects.
//!
//! It looks at each generation as a whole and compares with what it did before, so that a control plane that starts, or one
//! beside another, writes only what differs. What an object's status says is decided by `compile/`; here it is laid over what
//! others wrote there, and a condition that says what it said before keeps its time.
//!
//! It refuses to touch Gateways of other classes, and statuses that other controllers wrote.

mod deploy;
mod status;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::compile::World;
use crate::compile::gateway_api::status::{Said, statuses};
use crate::compile::gateway_api::{CLASS, CONTROLLER, own_gateways, ports};
use crate::kube::{self, ApplyOptions, Connection, Error, ObjectRef};
use crate::resources::gateway_api::GROUP;

use super::push::Snapshots;

/// The least time between two looks; what changes meanwhile is looked at together.
const PAUSE: Duration = Duration::from_millis(100);

/// After which time something that failed is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Names an object: kind, namespace, name.
type Id = (&'static str, String, String);

/// What was deployed for a Gateway, by its uid: what was deployed for another one of its name goes with that.
type Deployed = (Option<String>, Vec<Value>);

/// Does what Gateways ask for, and says so, until `token` is cancelled or there are no more snapshots.
pub(super) async fn keep(connection: Connection, mut snapshots: Snapshots, token: CancellationToken) {
    let mut controller = Controller { connection, done: HashMap::new(), deployed: HashMap::new(), has_class: false };
    let looking = async {
        loop {
            let world = snapshots.borrow_and_update().as_ref().map(|snapshot| snapshot.world().clone());
            let complete = match world {
                Some(world) => controller.look(&world).await,
                None => true,
            };
            sleep(PAUSE).await;
            let changed = if complete {
                snapshots.changed().await
            } else {
                timeout(RETRY, snapshots.changed()).await.unwrap_or(Ok(()))
            };
            if changed.is_err() {
                return;
            }
        }
    };
    token.run_until_cancelled(looking).await;
}

struct Controller {
    connection: Connection,
    /// What was said of each object last.
    done: HashMap<Id, Said>,
    /// What was deployed for each Gateway last.
    deployed: HashMap<Id, Deployed>,
    /// Whether the class that everybody counts on is there.
    has_class: bool,
}

impl Controller {
    /// Brings deployments and statuses up to date. `false`: something failed and has to be tried again.
    async fn look(&mut self, world: &Arc<World>) -> bool {
        let mut complete = self.make_class(world).await;
        let gateways: Vec<_> = own_gateways(world).filter(|gateway| deploy::is_asked_for(gateway)).collect();
        let id = |meta: &crate::resources::Meta| ("Gateway", meta.namespace.clone(), meta.name.clone());
        self.deployed.retain(|known, _| gateways.iter().any(|gateway| id(&gateway.meta) == *known));
        for gateway in gateways {
            let wanted = (gateway.meta.uid.clone(), deploy::objects(gateway, &ports(world, gateway)));
            let id = id(&gateway.meta);
            if self.deployed.get(&id) != Some(&wanted) {
                match self.deploy(&id, &wanted.1).await {
                    Ok(()) => {
                        self.deployed.insert(id, wanted);
                    }
                    Err(error) => complete = failed(&id, &error),
                }
            }
        }
        let said = statuses(world);
        let names = |said: &Said| (said.kind, said.namespace.clone(), said.name.clone());
        let kept: HashSet<Id> = said.iter().map(names).collect();
        self.done.retain(|id, _| kept.contains(id));
        for said in said {
            let id = names(&said);
            if self.done.get(&id) == Some(&said) {
                continue;
            }
            match status::write(&self.connection, &reference(&id), &said, now()).await {
                Ok(()) => {
                    self.done.insert(id, said);
                }
                Err(error) => complete = failed(&id, &error),
            }
        }
        complete
    }

    /// Makes the class that Gateways name as Istio's users know it, unless somebody has one of that name.
    async fn make_class(&mut self, world: &World) -> bool {
        if self.has_class || world.gateway_classes.iter().any(|class| class.meta.name == CLASS) {
            self.has_class = true;
            return true;
        }
        let class = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": "GatewayClass", "metadata": {"name": CLASS},
            "spec": {"controllerName": CONTROLLER, "description": "Gateways that the mesh deploys and serves"},
        });
        match kube::apply(&self.connection, &class, ApplyOptions::default()).await {
            Ok(_) => self.has_class = true,
            // A cluster without the Gateway API has nothing to serve.
            Err(error) if world.edge_gateways.is_empty() => tracing::debug!(%error, "there is no GatewayClass"),
            Err(error) => return failed(&("GatewayClass", String::new(), CLASS.to_owned()), &error),
        }
        true
    }

    /// Applies what a Gateway needs. The Gateway owns it, so that it goes with it.
    async fn deploy(&self, id: &Id, objects: &[Value]) -> Result<(), Error> {
        let Some(gateway) = kube::get(&self.connection, &reference(id)).await? else { return Ok(()) };
        let owner = json!([{
            "apiVersion": format!("{GROUP}/v1"), "kind": "Gateway", "name": id.2, "uid": gateway.pointer("/metadata/uid"),
        }]);
        for object in objects {
            let mut object = object.clone();
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.insert("ownerReferences".to_owned(), owner.clone());
            }
            kube::apply(&self.connection, &object, ApplyOptions { force: true, dry_run: false }).await?;
        }
        Ok(())
    }
}

fn reference((kind, namespace, name): &Id) -> ObjectRef {
    ObjectRef {
        api_version: format!("{GROUP}/v1"),
        kind: (*kind).to_owned(),
        namespace: Some(namespace.clone()).filter(|namespace| !namespace.is_empty()),
        name: name.clone(),
    }
}

/// The time, in whole seconds as Kubernetes writes it.
fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}

fn failed((kind, namespace, name): &Id, error: &Error) -> bool {
    tracing::warn!(kind, namespace, name, %error, "a Gateway API object is not settled; it is tried again");
    false
}
