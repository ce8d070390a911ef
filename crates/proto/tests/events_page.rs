//! `docs/events.md` is made from the contracts: every message that is published, with its subject, key, producer and
//! consumers. `UPDATE_DOCS=1 cargo test -p flotilla-proto --test events_page` writes it anew.

#![allow(clippy::unwrap_used, reason = "tests are told by a panic")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use flotilla_proto::descriptors;
use flotilla_proto::events::{Consumer, Stream, consumers, streams};
use prost_reflect::{DescriptorPool, MessageDescriptor};

const PAGE: &str = "docs/events.md";

const INTRODUCTION: &str = "# Events

<!-- Generated from the contracts in `proto/`: `UPDATE_DOCS=1 cargo test -p flotilla-proto --test events_page`. -->

All messages that services publish to the broker. A message's option `(flotilla.options.v1.event)` declares its subject and the
resource that it is about. A service's `events.proto` declares its stream and its durable consumers
(`(flotilla.options.v1.messaging)`). Producers, consumers, the relay, `fleet check`, the permissions of NATS users and this page
all use these options, so they can't disagree. Commands are named in the imperative, events in the past tense.
[architecture.md](architecture.md) describes how messages are delivered.

## Streams and consumers

| stream | producer | subjects | durable consumers |
|---|---|---|---|
";

/// The events page as the contracts have it.
fn page() -> String {
    let pool = descriptors::pool().unwrap();
    let mut page = INTRODUCTION.to_owned();
    for stream in streams::ALL {
        let durables =
            of_stream(stream).map(|consumer| format!("`{}`", consumer.durable)).collect::<Vec<_>>().join(", ");
        let subjects = stream.subjects.iter().map(|subject| format!("`{subject}`")).collect::<Vec<_>>().join(", ");
        writeln!(page, "| `{}` | {} | {subjects} | {durables} |", stream.name, stream.service).unwrap();
    }
    page += "\nEach stream also contains the subject `flotilla.<service>.dead_letters`: copies of the service's dead letters.\n";
    let events = events(&pool);
    for stream in streams::ALL {
        for subject in stream.subjects {
            let read_by: Vec<&Consumer> =
                of_stream(stream).filter(|consumer| consumer.subjects.contains(subject)).collect();
            let readers = match &read_by[..] {
                [] => "no service of the fleet; available to your own services".to_owned(),
                some => some
                    .iter()
                    .map(|consumer| format!("{} (`{}`)", consumer.service, consumer.durable))
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            write!(page, "\n## `{subject}`\n\nPublished by {}; consumed by {readers}.\n\n", stream.service).unwrap();
            page += "| message | key | fields | description |\n|---|---|---|---|\n";
            for (message, aggregate) in &events[*subject] {
                let fields = message.fields().map(|field| format!("`{}`", field.name())).collect::<Vec<_>>().join(", ");
                let (name, comment) = (message.full_name(), comment(message));
                writeln!(page, "| `{name}` | `{aggregate}/...` | {fields} | {comment} |").unwrap();
            }
        }
    }
    page
}

fn of_stream(stream: &Stream) -> impl Iterator<Item = &'static Consumer> {
    consumers::ALL.iter().filter(move |consumer| consumer.stream == stream)
}

/// The messages of each subject with the collection that they are about.
fn events(pool: &DescriptorPool) -> BTreeMap<String, Vec<(MessageDescriptor, String)>> {
    let option = pool.get_extension_by_name("flotilla.options.v1.event").unwrap();
    let mut events: BTreeMap<String, Vec<(MessageDescriptor, String)>> = BTreeMap::new();
    for message in pool.all_messages().filter(|message| message.options().has_extension(&option)) {
        let declared = message.options().get_extension(&option).into_owned();
        let text =
            |field| declared.as_message().unwrap().get_field_by_name(field).unwrap().as_str().unwrap().to_owned();
        events.entry(text("subject")).or_default().push((message, text("aggregate")));
    }
    events
}

/// The comment above a message in its file, on one line.
fn comment(message: &MessageDescriptor) -> String {
    let file = message.parent_file_descriptor_proto();
    let locations = file.source_code_info.as_ref().map_or(&[][..], |info| &info.location);
    let found = locations.iter().find(|location| location.path == message.path());
    let text = found.map(|location| location.leading_comments().to_owned()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_page_of_events_is_made_from_the_contracts() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAGE);
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "{PAGE} isn't what the contracts say; UPDATE_DOCS=1 writes it anew");
}
