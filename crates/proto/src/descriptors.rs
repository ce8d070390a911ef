//! The descriptor set of all contracts, for reflection and for transcoding.

use prost_reflect::DescriptorPool;

/// The encoded `FileDescriptorSet`, source comments and options included.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Decodes [`FILE_DESCRIPTOR_SET`] into a pool of its own.
///
/// # Errors
/// Only when the build produced a broken set.
pub fn pool() -> Result<DescriptorPool, prost_reflect::DescriptorError> {
    DescriptorPool::decode(FILE_DESCRIPTOR_SET)
}
