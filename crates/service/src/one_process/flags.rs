//! Flags of a process of several services: `--orders.saga.tick=1s` is for one, `--service.grace=10s` for all.

/// The flags of one service, as it would get them alone; its own come last and take precedence.
pub(super) fn of(service: &str, services: &[&str], flags: &[String]) -> Vec<String> {
    let (mut of_all, mut own) = (Vec::new(), Vec::new());
    let mut flags = flags.iter().peekable();
    while let Some(flag) = flags.next() {
        // The value may be an argument of its own.
        let value = flags.next_if(|next| !flag.contains('=') && !next.starts_with("--"));
        let named = flag.strip_prefix("--").and_then(|name| name.split_once('.'));
        let target = match named.filter(|(first, _)| services.contains(first)) {
            Some((named, setting)) if named == service => {
                own.push(format!("--{setting}"));
                &mut own
            }
            Some(_) => continue,
            None => {
                of_all.push(flag.clone());
                &mut of_all
            }
        };
        target.extend(value.cloned());
    }
    of_all.append(&mut own);
    of_all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_reaches_all_services_or_the_one_that_it_names() {
        let flags = ["--orders.saga.tick", "1s", "--service.grace=9s", "--payments.x.y=2", "--service.faults", "true"];
        let flags = flags.map(str::to_owned);
        let of = |service| of(service, &["orders", "payments", "identity"], &flags);
        let all = ["--service.grace=9s", "--service.faults", "true"];
        assert_eq!(of("identity"), all);
        assert_eq!(of("orders"), [all.as_slice(), &["--saga.tick", "1s"]].concat());
        assert_eq!(of("payments"), [all.as_slice(), &["--x.y=2"]].concat());
    }
}
