//! `flags_server`: the server as a program. Next: `examples/flags_server.rs`.

use super::config::Config;
use super::listen::Server;
use crate::cli::{self, Refusal};
use crate::printer::Lines;
use crate::units;
use clap::{Parser, ValueEnum};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Duration;

const EXIT_CODES: &str = "\
Exit codes:
  1    the address cannot be listened on
  2    the command line is wrong
  130  stopped by Ctrl-C (143: by SIGTERM)";

/// Serve 249 flags over HTTP, slowly and with errors on purpose, until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "flags_server", version, after_help = EXIT_CODES, allow_negative_numbers = true)]
struct Arguments {
    /// How it behaves
    #[arg(value_enum, default_value = "local")]
    kind: Kind,

    /// Where to listen; port 0 is any that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080", value_parser = addr)]
    addr: SocketAddr,

    /// How long each answer waits, as 200ms, or drawn from a range, as 0.5s..5s
    #[arg(long, value_name = "TIME", value_parser = delay, allow_hyphen_values = true)]
    delay: Option<RangeInclusive<Duration>>,

    /// Which share of the answers are errors (418), as 0.25 or 25%
    #[arg(long, value_name = "SHARE", value_parser = units::share)]
    error_rate: Option<f64>,

    /// The same number, the same delays and errors
    #[arg(long, value_name = "N", default_value = "0", value_parser = units::seed)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Every answer after 200 ms
    Local,
    /// Every answer after 0.5 to 5 s
    Delay,
    /// As local, but a quarter of the answers are errors
    Error,
}

impl Arguments {
    fn config(&self) -> Config {
        let usual = match self.kind {
            Kind::Local => Config::local(),
            Kind::Delay => Config::delay(),
            Kind::Error => Config::error(),
        };
        Config {
            delay: self.delay.clone().unwrap_or(usual.delay),
            error_rate: self.error_rate.unwrap_or(usual.error_rate),
            seed: self.seed,
            ..usual
        }
    }
}

/// Runs the program; `args` begin with its name. It returns when a signal says so.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match cli::parse(args, Ok::<Arguments, Refusal>) {
        Ok(arguments) => arguments,
        Err(refusal) => refusal.exit(),
    };
    match serve_until_signal(&arguments) {
        Ok(signal) => ExitCode::from(128 + signal),
        Err(error) => {
            let addr = arguments.addr;
            Lines::Stderr.print(&format!(
                "flags_server: cannot listen on {addr}: {error}; choose another --addr"
            ));
            ExitCode::FAILURE
        }
    }
}

fn serve_until_signal(arguments: &Arguments) -> io::Result<u8> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?; // before anyone can know of the server
    let server = Server::start_at(arguments.addr, arguments.config())?;
    let url = server.url();
    Lines::Stdout.print(&format!("flags at {url}/download/yemen/flag-jpg-small.jpg"));
    Lines::Stdout.print(&format!("     and {url}/flags/ye/ye.jpg, until Ctrl-C"));
    let signal = signals.forever().next();
    Ok(signal.map_or(0, |signal| signal as u8))
}

fn addr(text: &str) -> Result<SocketAddr, String> {
    let cure = "give an address and a port, as 127.0.0.1:8080 or [::1]:8080";
    text.parse().map_err(|_| cure.to_owned())
}

fn delay(text: &str) -> Result<RangeInclusive<Duration>, String> {
    let (shortest, longest) = text.split_once("..").unwrap_or((text, text));
    let range = units::duration(shortest)?..=units::duration(longest)?;
    if range.is_empty() {
        return Err(format!("a range goes up: {longest}..{shortest}"));
    }
    Ok(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &str) -> Result<Arguments, String> {
        let args = ["flags_server"].into_iter().chain(args.split_whitespace());
        let arguments = cli::parse(args.map(OsString::from), Ok::<Arguments, Refusal>);
        arguments.map_err(|error| error.to_string())
    }

    #[test]
    fn each_kind_is_a_usual_way_to_behave() {
        assert_eq!(read("").unwrap().config(), Config::local());
        assert_eq!(read("delay").unwrap().config(), Config::delay());
        assert_eq!(read("error").unwrap().config(), Config::error());
    }

    #[test]
    fn options_change_what_the_kind_says() {
        let arguments = read("error --delay 0.5s..5s --error-rate 10% --seed 7").unwrap();
        let expected = Config {
            error_rate: 0.1,
            seed: 7,
            ..Config::delay()
        };
        assert_eq!(arguments.config(), expected);
        let fixed = read("delay --delay 0").unwrap().config();
        assert_eq!(fixed.delay, Duration::ZERO..=Duration::ZERO);
    }

    #[test]
    fn a_wrong_line_is_refused_with_the_cure() {
        for (args, cure) in [
            ("--delay 200", "200ms"),
            ("--delay 5s..1s", "1s..5s"),
            ("--delay 1s..", "200ms or 1.5s"),
            ("--error-rate 2", "0.25 or 25%"),
            ("--addr localhost", "127.0.0.1:8080"),
            ("--addr 127.0.0.1:99999", "127.0.0.1:8080"),
            ("slow", "local, delay, error"),
        ] {
            let said = read(args).unwrap_err();
            assert!(said.contains(cure), "{args}: {said}");
        }
    }
}
