//! Messages for tests: the contracts' own, and one with a field of every kind.

use prost_reflect::{DescriptorPool, MessageDescriptor};

const TOY: &str = r#"
    syntax = "proto3";
    package toy.v1;
    import "google/protobuf/duration.proto";
    import "google/protobuf/field_mask.proto";
    import "google/protobuf/struct.proto";
    import "google/protobuf/timestamp.proto";
    import "google/protobuf/wrappers.proto";
    enum Colour { NONE = 0; RED = 1; BLUE = 2; }
    message Toy {
      repeated int32 numbers = 1;
      repeated Colour colours = 2;
      map<string, int64> counts = 3;
      google.protobuf.Struct free = 4;
      bool flag = 5;
      google.protobuf.Duration wait = 6;
      google.protobuf.Int32Value wrapped = 7;
      double ratio = 8;
      oneof shape {
        string round = 9;
        Toy square = 10;
      }
      bytes blob = 11;
      optional string note = 12;
      map<int32, Toy> shelf = 13;
      uint64 big = 14;
      sint32 zig = 15;
      fixed32 fixed = 16;
      sfixed64 far = 17;
      float small = 18;
      google.protobuf.Timestamp at = 19;
      google.protobuf.Value whatever = 20;
      sint64 zag = 21;
      repeated string tags = 22;
      google.protobuf.FieldMask mask = 23;
      repeated double ratios = 24;
      map<bool, Colour> paint = 25;
      int64 long_name_of_a_field = 100;
      Colour colour = 101;
      uint32 plain = 102;
      sfixed32 near = 103;
      fixed64 wide = 104;
      repeated sint64 zags = 105;
      repeated Toy toys = 106;
    }
"#;

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
