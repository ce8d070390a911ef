//! Settings by flags: `--section.field=value` or `--section.field value`; a switch needs no value.

use crate::kind::Kind;
use crate::names::variable;
use crate::problems::Problem;
use crate::reference::Reference;
use crate::resolve::scheme_of;

/// Values of a switch that may follow it as a separate argument.
const SWITCH: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "1", "0"];

/// A setting that a flag sets.
pub(crate) struct Flag {
    pub setting: String,
    pub origin: String,
    pub value: String,
}

/// The flags among `arguments`. Anything else is a problem.
pub(crate) fn flags(arguments: &[String], reference: &Reference, problems: &mut Vec<Problem>) -> Vec<Flag> {
    let mut flags = Vec::new();
    let mut arguments = arguments.iter().map(String::as_str).peekable();
    while let Some(argument) = arguments.next() {
        let Some(flag) = argument.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
            problems.push(Problem::new(argument, "is not a flag; use --section.field=value"));
            continue;
        };
        let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
        let origin = format!("--{name}");
        let setting = name.replace('-', "_");
        let known = reference.find(&setting);
        let switch = known.is_some_and(|setting| setting.kind == Kind::Flag);
        let apart = |next: &&str| !next.starts_with("--") && (!switch || SWITCH.contains(next));
        let value = match value {
            Some(value) => value,
            None => match arguments.next_if(apart) {
                Some(value) => value,
                None if switch => "true",
                None => {
                    let kind = known.map_or_else(|| "a value".to_owned(), |setting| setting.kind.to_string());
                    problems.push(Problem::new(&setting, format!("has no value; expected {kind}")).at(&origin));
                    continue;
                }
            },
        };
        if known.is_some_and(|setting| setting.secret) && scheme_of(value).is_none() {
            let file = variable(&setting);
            let message = format!("is a secret, and flags are visible to other users; name a file in {file}_FILE");
            problems.push(Problem::new(&setting, message).at(&origin));
            continue;
        }
        flags.push(Flag { setting, origin, value: value.to_owned() });
    }
    flags
}
