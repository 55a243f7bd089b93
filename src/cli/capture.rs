//! `mesh capture`: leads a pod's traffic to its proxy. It is what the init container of an injected pod runs, so it is in no help
//! text.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::ui::Ui;
use crate::net::{Extent, Redirect};

/// Lead the traffic of the pod around this process to its proxy
///
/// Sets rules in the network namespace of this process, which has to be the pod's, and wants CAP_NET_ADMIN. Rules that are there
/// from an earlier run are replaced.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the pod
    #[arg(long, env = "INSTANCE_IP", value_name = "ADDRESS")]
    pod_ip: IpAddr,
    /// User and group of the proxy
    #[arg(long, default_value_t = 1337, value_name = "ID")]
    proxy_id: u32,
    /// Where connections of the application arrive
    #[arg(long, default_value_t = 15001, value_name = "PORT")]
    outbound_port: u16,
    /// Where connections to the application arrive
    #[arg(long, default_value_t = 15006, value_name = "PORT")]
    inbound_port: u16,
    /// Ports of the application, or *
    #[arg(long, default_value = "*", value_name = "PORTS", value_parser = listed::<u16>)]
    inbound_ports: Listed<u16>,
    /// Ports of the application that are left alone
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    exclude_inbound_ports: Vec<u16>,
    /// Addresses, or *
    #[arg(long, default_value = "*", value_name = "RANGES", value_parser = listed::<IpNet>)]
    outbound_ranges: Listed<IpNet>,
    /// Addresses that are left alone
    #[arg(long, value_name = "RANGES", value_delimiter = ',')]
    exclude_outbound_ranges: Vec<IpNet>,
    /// Ports that are captured wherever they are, or *
    #[arg(long, default_value = "", value_name = "PORTS", value_parser = listed::<u16>)]
    outbound_ports: Listed<u16>,
    /// Ports that are left alone wherever they are
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    exclude_outbound_ports: Vec<u16>,
}

/// Ports of the proxy that are asked without being led to it: metrics, probes of the application, readiness (Istio's).
const OWN_PORTS: [u16; 3] = [15090, 15020, 15021];

/// Everything, or a list.
#[derive(Debug, Clone)]
struct Listed<T>(Extent<T>);

fn listed<T: FromStr>(text: &str) -> Result<Listed<T>, String> {
    if text == "*" {
        return Ok(Listed(Extent::All));
    }
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parsed = parts.map(|part| part.parse().map_err(|_| format!("{part:?} cannot be read; write a list, or *")));
    Ok(Listed(Extent::Only(parsed.collect::<Result<_, _>>()?)))
}

/// Sets the rules.
pub fn run(ui: &Ui, args: Args) -> CliResult {
    let (Listed(inbound), Listed(outbound), Listed(ports)) =
        (args.inbound_ports, args.outbound_ranges, args.outbound_ports);
    let (outbound, outbound_ports) = match ports {
        Extent::All => (Extent::All, Vec::new()),
        Extent::Only(ports) => (outbound, ports),
    };
    let redirect = Redirect {
        proxy_id: args.proxy_id,
        outbound_port: args.outbound_port,
        inbound_port: args.inbound_port,
        inbound,
        exclude_inbound: OWN_PORTS.into_iter().chain(args.exclude_inbound_ports).collect(),
        outbound,
        exclude_outbound: args.exclude_outbound_ranges,
        outbound_ports,
        exclude_outbound_ports: args.exclude_outbound_ports,
    };
    redirect.set_up(args.pod_ip).map_err(|error| {
        CliError::new(Kind::Permission, error)
            .hint("the container needs the capability NET_ADMIN, and the node's kernel nf_tables with nat")
    })?;
    ui.note(format!(
        "connections of {} lead to its proxy: out to port {}, in to port {}",
        args.pod_ip, args.outbound_port, args.inbound_port
    ));
    Ok(())
}
