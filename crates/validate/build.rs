//! Compiles the declaration of the rules (`proto/buf/validate/validate.proto`) with protox; no protoc is needed.

use std::{env, error::Error, path::PathBuf};

const RULES: &str = "buf/validate/validate.proto";

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.join(RULES).display());
    let descriptors = protox::compile([RULES], [&root])?;
    prost_build::Config::new().enable_type_names().compile_fds(descriptors)?;
    Ok(())
}
