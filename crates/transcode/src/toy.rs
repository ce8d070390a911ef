//! Messages for tests: the contracts' own, and one with a field of every kind.

use prost_reflect::{DescriptorPool, MessageDescriptor};

const TOY: &str = include_str!("../tests/toy.proto");

/// A message by its full name.
pub fn message(name: &str) -> MessageDescriptor {
    let pool = if name.starts_with("toy.") {
        let mut pool = DescriptorPool::global();
        let file = protox::file::File::from_source("toy.proto", TOY).unwrap();
        pool.add_file_descriptor_proto(file.into()).unwrap();
        pool
    } else {
        flotilla_proto::descriptors::pool().unwrap()
    };
    pool.get_message_by_name(name).unwrap_or_else(|| panic!("{name} is no message"))
}

/// The toy's.
pub fn toy() -> MessageDescriptor {
    message("toy.v1.Toy")
}
