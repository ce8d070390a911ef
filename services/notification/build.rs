//! Compiles the crate anew if a migration was added: the macro that embeds them can't tell cargo.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
