//! Confirmation before data are destroyed: the command lists what will be lost and where, and asks at a terminal.
//! Without a terminal it needs `--yes`.

use std::io::{BufRead, IsTerminal as _, Write, stderr, stdin};

use anyhow::{Result, bail};
use clap::Args;

use crate::home::Home;

/// The option `--yes` of every destructive command.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Confirmation {
    /// Skip the confirmation. Required without a terminal.
    #[arg(long, short = 'y')]
    pub yes: bool,
}

impl Confirmation {
    /// Lists what will be lost and asks whether to continue; doesn't ask if nothing will be lost.
    ///
    /// # Errors
    /// If the answer is no, or there is no terminal and `--yes` wasn't given.
    pub fn ask(self, home: &Home, command: &str, losses: &[String]) -> Result<()> {
        let terminal = stdin().is_terminal() && stderr().is_terminal();
        let mut input = stdin().lock();
        let input: Option<&mut dyn BufRead> = if terminal { Some(&mut input) } else { None };
        self.decide(&home.command(command), losses, input, &mut stderr())
    }

    fn decide(
        self,
        command: &str,
        losses: &[String],
        input: Option<&mut dyn BufRead>,
        output: &mut dyn Write,
    ) -> Result<()> {
        if losses.is_empty() {
            return Ok(());
        }
        let list: String = losses.iter().map(|loss| format!("\n  {loss}")).collect();
        if self.yes {
            writeln!(output, "this destroys:{list}")?;
            return Ok(());
        }
        let Some(input) = input else {
            bail!("this destroys:{list}\nthere is no terminal to confirm at: run `{command} --yes`");
        };
        write!(output, "this destroys:{list}\ncontinue? (yes or no) ")?;
        output.flush()?;
        let mut answer = String::new();
        input.read_line(&mut answer)?;
        if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
        bail!("nothing was changed");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic fails the test")]
mod tests {
    use super::*;

    fn decide(yes: bool, losses: &[&str], answer: Option<&str>) -> (Result<()>, String) {
        let losses: Vec<String> = losses.iter().map(ToString::to_string).collect();
        let mut output = Vec::new();
        let mut bytes = answer.unwrap_or_default().as_bytes();
        let input: Option<&mut dyn BufRead> = if answer.is_some() { Some(&mut bytes) } else { None };
        let outcome = Confirmation { yes }.decide("fleet --home b/ux reset", &losses, input, &mut output);
        (outcome, String::from_utf8(output).unwrap())
    }

    #[test]
    fn at_a_terminal_it_lists_the_losses_and_asks() {
        let losses = ["the databases in /b/ux/servers/data/postgres"];
        for answer in ["yes\n", "Y\n"] {
            let (outcome, output) = decide(false, &losses, Some(answer));
            outcome.unwrap();
            assert!(output.contains(losses[0]), "{output}");
        }
        for answer in ["no\n", "\n", "", "yse\n"] {
            assert!(decide(false, &losses, Some(answer)).0.is_err(), "{answer:?}");
        }
    }

    #[test]
    fn without_a_terminal_it_requires_yes() {
        let losses = ["the streams in /b/ux/servers/data/nats"];
        let refusal = decide(false, &losses, None).0.unwrap_err().to_string();
        assert!(refusal.contains(losses[0]) && refusal.contains("`fleet --home b/ux reset --yes`"), "{refusal}");
        let (outcome, output) = decide(true, &losses, None);
        outcome.unwrap();
        assert!(output.contains(losses[0]), "{output}");
    }

    #[test]
    fn nothing_is_asked_if_nothing_is_lost() {
        assert!(decide(false, &[], None).0.is_ok());
    }
}
