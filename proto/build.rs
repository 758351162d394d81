//! Compiles the .proto files with protox, lets prost and tonic write the types and services, and writes the
//! descriptor tables which JSON, the required scan and the transcoder interpret.

#[path = "build/carried.rs"]
mod carried;
#[path = "build/tables.rs"]
mod tables;

use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

const FILES: [&str; 10] = [
    "mesos/v1/mesos.proto",
    "mesos/v1/scheduler/scheduler.proto",
    "mesos/v1/executor/executor.proto",
    "mesos/v1/master/master.proto",
    "mesos/v1/agent/agent.proto",
    "mesos/v1/maintenance/maintenance.proto",
    "mesos/v1/quota/quota.proto",
    "mesos/v1/allocator/allocator.proto",
    "meseta/link/v1/link.proto",
    "meseta/scheduler/v1/scheduler.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("protos");
    println!("cargo::rerun-if-changed=protos");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);

    let described = protox::compile(FILES, [root])?;
    let order = fs::read_to_string(root.join("json-field-order.txt"))?;
    let order = tables::declared_order(&order)?;
    fs::write(out.join("tables.rs"), tables::write(&described, &order)?)?;

    let mut config = prost_build::Config::new();
    config.btree_map(["."]).bytes(["."]).include_file("protos.rs");
    // The method `Connect` leaves no room for a constructor of that name: clients are made from a channel.
    let services = tonic_prost_build::configure().build_transport(false);
    services.compile_fds_with_config(carried::as_bytes(described)?, config)?;
    Ok(())
}
