//! Calls a function: some times to warm it up, some times to measure it, and then looks at what it replied.
//!
//! Requests are encoded before they are sent, replies are looked at after the last of all, and nothing is printed between
//! measured ones: what runs between the marks of an invocation is the function and as little of ours as can be.

mod aes;
mod input;
mod reply;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use crate::config::{self, Call, Function, Parameters};
use crate::console::{tell, Event, Latencies};
use crate::grpc::{self, Channel};
use crate::m5::Simulator;
use crate::protobuf::{fields, Value};
use crate::sys;

// Codes of vSwarm-u's `m5 fail`.
const CLIENT_STARTED: u64 = 10;
const CLIENT_ENDED: u64 = 11;
const WARM_STARTED: u64 = 31;
const WARM_ENDED: u64 = 32;
/// Ours: what follows is measured.
const SETTLED: u64 = 33;
/// Ours: everything is told, and every reply was right. A simulation need not go on.
const TOLD: u64 = 34;
/// Work of gem5 has this number and that of the invocation.
const WORK: u64 = 100;

/// One invocation that is over.
struct Done {
    latency: Duration,
    reply: Result<Vec<u8>, grpc::Error>,
}

/// How long the program waits for each reply.
const LIMIT: Duration = Duration::from_secs(60);
const USAGE: &str = "\
usage: guest invoke FUNCTION [KEY=VALUE]…

Calls a function of the image that runs already, as init does. Keys are those of the kernel's
command line, without `vsbuild.`: warm, invocations, generator, input, seed.
";

/// The program `invoke`.
pub fn main(arguments: &[String]) -> ExitCode {
    let Some((name, rest)) = arguments.split_first() else {
        eprint!("{USAGE}");
        return ExitCode::FAILURE;
    };
    match run(name, rest) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(wrong) => {
            eprintln!("invoke: {wrong} replies were wrong");
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("invoke: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, words: &[String]) -> Result<u64, String> {
    let line = words.iter().fold(format!("vsbuild.function={name}"), |line, word| {
        line + " vsbuild." + &word.replace(' ', "%20")
    });
    let parameters = config::parse_run(&line).map_err(|mistake| mistake.to_string())?;
    let functions = config::functions(name).map_err(|mistake| mistake.to_string())?;
    let Some(Function { port, call: Some(call), .. }) = functions.last() else {
        return Err(format!("{name} is nothing that can be called"));
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
    invoke(name, address, call, &parameters, Simulator::find(), LIMIT)
}

/// Calls `name`, which listens at `address`; gives the number of wrong replies. An error says why there were none at all.
pub fn invoke(
    name: &str,
    address: SocketAddr,
    call: &Call,
    parameters: &Parameters,
    simulator: Simulator,
    limit: Duration,
) -> Result<u64, String> {
    let warm = parameters.warm as usize;
    let warming = requests(call, &input::inputs(call, parameters, warm))?;
    simulator.tell(CLIENT_STARTED);
    let mut channel = Channel::tcp(address).map_err(|error| format!("{name}: {error}"))?;
    let mut done = Vec::with_capacity(warm);
    tell(&Event::WarmStarted { count: warm as u64 });
    simulator.tell(WARM_STARTED);
    for request in &warming {
        done.push(once(&mut channel, call, request, limit));
    }
    tell(&Event::WarmEnded);
    simulator.tell(WARM_ENDED);

    // What comes now may be the life of a checkpoint, which is told only now what it is for.
    let parameters = &simulator.answer(parameters)?;
    let unmeasured = warm + parameters.settle as usize;
    let inputs = input::inputs(call, parameters, unmeasured + parameters.invocations as usize);
    let following = requests(call, &inputs[warm..])?;
    let (settling, measured) = following.split_at(parameters.settle as usize);
    done.reserve(following.len());
    for request in settling {
        done.push(once(&mut channel, call, request, limit));
    }
    simulator.tell(SETTLED);
    for (number, request) in (WORK..).zip(measured) {
        simulator.work_begins(number);
        let invocation = once(&mut channel, call, request, limit);
        simulator.work_ends(number);
        done.push(invocation);
    }
    simulator.tell(CLIENT_ENDED);
    let failed = report(name, call, &inputs, &done, unmeasured);
    if failed == 0 {
        sys::flush_terminal(std::io::stdout().as_fd());
        simulator.tell(TOLD);
    }
    Ok(failed)
}

fn requests(call: &Call, inputs: &[String]) -> Result<Vec<Vec<u8>>, String> {
    inputs.iter().map(|input| input::request(&call.fields, input)).collect()
}

fn once(channel: &mut Channel, call: &Call, request: &[u8], limit: Duration) -> Done {
    let begin = sys::uptime();
    let reply = channel.call(&call.method, &[], request, limit);
    Done { latency: sys::uptime() - begin, reply }
}

/// Tells all measured invocations, and those before them that were wrong; gives the number of wrong replies.
fn report(name: &str, call: &Call, inputs: &[String], done: &[Done], warm: usize) -> u64 {
    let mut failed = 0;
    for (place, (input, invocation)) in inputs.iter().zip(done).enumerate() {
        let (reply, fault) = judged(call, input, &invocation.reply);
        let ok = fault.is_none();
        failed += u64::from(!ok);
        if let Some(fault) = &fault {
            let text = format!("`{input}` was answered with `{reply}`, not with `{fault}`");
            tell(&Event::Log { text: text.as_bytes() });
        }
        if let Some(number) = place.checked_sub(warm) {
            let shown = (!ok || number == 0).then_some(reply.as_str());
            let latency = invocation.latency.as_nanos() as u64;
            tell(&Event::Invocation {
                number: number as u64,
                ok,
                latency,
                request: input,
                reply: shown,
            });
        }
    }
    let measured: Vec<u64> =
        done[warm..].iter().map(|invocation| invocation.latency.as_nanos() as u64).collect();
    let (warm, invocations) = (warm as u64, measured.len() as u64);
    tell(&Event::Invoked { name, warm, invocations, failed, latencies: Latencies::of(measured) });
    failed
}

/// The reply as text, and what it should have been if it is wrong.
fn judged(
    call: &Call,
    input: &str,
    reply: &Result<Vec<u8>, grpc::Error>,
) -> (String, Option<String>) {
    let bytes = match reply {
        Ok(bytes) => bytes,
        Err(error) => return (error.to_string(), Some("a reply".to_owned())),
    };
    let Some(found) = fields(bytes) else {
        return ("no message".to_owned(), Some("a message".to_owned()));
    };
    let text = found.iter().rev().find_map(|(number, value)| match value {
        Value::Bytes(text) if *number == call.reply => Some(String::from_utf8_lossy(text)),
        _ => None,
    });
    // A field that is not there is empty.
    let text = text.unwrap_or_default().into_owned();
    let fault = reply::fault(&call.check, input, &text);
    (text, fault)
}
