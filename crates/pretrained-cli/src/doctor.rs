use std::process::ExitCode;

use anyhow::Result;
use pretrained::{
    fs::{Durability, FileSystem},
    torch::{Cuda, Libtorch},
};
use serde_json::{Value, json};

use crate::{
    machine::{CURRENT, Cache, Cpu, Machine, Place},
    output::{self, bytes, one_line},
    terminal::{self, Stream, Tone, toned, toned_line, wrapped},
};

/// Say what this command finds on this machine, what is broken, and how it is fixed.
///
/// Exit code 0: all is well; 1: something is broken.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  pretrained doctor
  pretrained doctor --json")]
pub(crate) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    problem: String,
    fix: &'static str,
    /// Whether something does not work; else it is only slower, or less safe, than it could be.
    is_broken: bool,
}

pub(crate) fn run(args: Args) -> Result<ExitCode> {
    let machine = Machine::look();
    let faults = faults(&machine);
    output::or_closed(match args.json {
        true => output::print_json(&to_json(&machine, &faults)),
        false => output::print(to_text(&machine, &faults, terminal::width())),
    })?;
    let is_well = !faults.iter().any(|it| it.is_broken);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is wrong with a machine.
fn faults(machine: &Machine) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut add = |is_broken, problem: String, fix| faults.push(Fault { problem, fix, is_broken });
    match &machine.libtorch {
        Err(error) => add(true, format!("libtorch does not answer: {error}"), REINSTALL),
        Ok(it) if it.version != it.built_for => {
            let Libtorch { version, built_for, .. } = it;
            let problem = format!("libtorch {version} is loaded, this was built for {built_for}");
            add(true, problem, REINSTALL);
        }
        Ok(_) => (),
    }
    if let Some(error) = &machine.broken_compute {
        add(true, format!("libtorch does not compute: {error}"), REINSTALL);
    }
    if let Ok(libtorch) = &machine.libtorch {
        match libtorch.cuda {
            Cuda::NotBuilt => add(
                true,
                "there is an NVIDIA driver, and this libtorch is without CUDA".to_owned(),
                "build with a libtorch that has CUDA (`cargo xtask setup`, or LIBTORCH)",
            ),
            Cuda::NoDevice => add(
                true,
                "there is an NVIDIA driver, and libtorch finds no GPU".to_owned(),
                "see that `nvidia-smi` lists one, that the driver is as new as this CUDA, and that \
                 CUDA_VISIBLE_DEVICES does not hide it",
            ),
            _ => (),
        }
        // By itself libtorch leaves out what the threads of one core would share.
        if let Some(limit) = machine.thread_limits.iter().find(|it| it.is_valid())
            && libtorch.threads < machine.cores
        {
            let problem =
                format!("{limit}: {} of {} cores compute", libtorch.threads, machine.cores);
            add(false, problem, "unset it, or give it the number of cores");
        }
    }
    for limit in machine.thread_limits.iter().filter(|it| !it.is_valid()) {
        let problem = format!("{limit} is no number of threads, and not obeyed");
        add(false, problem, "unset it, or give it a number above 0");
    }
    if machine.cpu.is_x86 && !machine.cpu.avx2 {
        let fix = "use a newer CPU, or let the virtual machine have all features of its host's";
        add(false, "the CPU has no AVX2: products take several times as long".to_owned(), fix);
    }
    for place in &machine.places {
        place_faults(place, &mut add);
    }
    faults
}

fn place_faults(place: &Place, add: &mut impl FnMut(bool, String, &'static str)) {
    let (name, path) = (place.name, place.path.display());
    // Nothing that is saved goes to the other one.
    let is_current = name == CURRENT;
    if let Some(refusal) = &place.refusal {
        let fix = match is_current {
            true => "go to a directory of yours, or save to one",
            false => "let TMPDIR name a directory that can be written to",
        };
        add(false, format!("no file can be made in {path}: {refusal}"), fix);
    }
    let Ok(FileSystem { free, kind, durability, .. }) = &place.file_system else { return };
    if *free < LEAST_FREE {
        let problem = format!("only {} are free in the {name}, {path}", bytes(*free));
        add(
            is_current,
            problem,
            "make room: a save that does not fit fails, and leaves the old one",
        );
    }
    let kind = kind.as_deref().unwrap_or_default();
    match durability {
        Durability::Volatile if is_current => add(
            false,
            format!("{path} is in memory ({kind}): what is saved there is gone with a restart"),
            "save to a disk",
        ),
        Durability::NotAtomic if is_current => add(
            false,
            format!("{path} is on {kind}: a power loss may leave a save half done"),
            "save to ext4, XFS, btrfs, f2fs, ZFS or APFS",
        ),
        _ => (),
    }
}

/// For lines of `width` characters, if there is a limit. Nothing is shortened: a path that is cannot be
/// looked up.
fn to_text(machine: &Machine, faults: &[Fault], width: Option<usize>) -> String {
    let fitted = |line: &str, from: usize, hang: usize| match width {
        Some(width) => wrapped(line, width.saturating_sub(from), hang),
        None => line.to_owned(),
    };
    let mut rows: Vec<(&str, String)> = Vec::new();
    let mut row = |name, value| rows.push((name, value));
    row("pretrained", env!("CARGO_PKG_VERSION").to_owned());
    match &machine.libtorch {
        Err(error) => row("libtorch", error.clone()),
        Ok(it) => {
            row("libtorch", it.version.clone());
            let dir = it.dir.as_ref().map(|it| it.display().to_string());
            row("  from", dir.unwrap_or_else(|| "unknown".to_owned()));
            row("  ABI", abi(it).to_owned());
            row("  kernels for", it.cpu_capability.clone());
            row("GPU", gpu(it.cuda));
            row("threads", format!("{}, on {} cores", it.threads, machine.cores));
        }
    }
    row("CPU", cpu(machine.cpu));
    for place in &machine.places {
        row(place.name, place.path.display().to_string());
        let found = place.file_system.as_ref();
        row("  disk", found.map_or_else(String::clone, disk));
    }
    for (name, cache) in
        [("tokenized data", &machine.data_cache), ("downloaded models", &machine.model_cache)]
    {
        let cache = cache.as_ref();
        let path = cache.map_or("no home directory".to_owned(), |it| it.path.display().to_string());
        row(name, path);
        row("  size", cache.and_then(|it| it.bytes).map_or("not there".to_owned(), bytes));
    }

    let names = rows.iter().map(|it| it.0.len()).max().unwrap_or(0);
    let lines = rows.iter().map(|(name, value)| {
        let column = names + 2;
        let value = fitted(&one_line(value), column, 0).replace('\n', &format!("\n{:column$}", ""));
        format!("{name:column$}{value}\n")
    });
    let mut text = lines.collect::<String>() + "\n";
    for Fault { problem, fix, is_broken } in faults {
        let word = if *is_broken { "fault" } else { "note" };
        let line = format!("{word}: {}; fix: {fix}", one_line(problem));
        text += &format!("{}\n", toned_line(Stream::Out, &fitted(&line, 0, 2)));
    }
    match faults.iter().filter(|it| it.is_broken).count() {
        0 => text += &format!("{}\n", toned(Stream::Out, Tone::Good, "all is well")),
        1 => text += "1 thing is broken\n",
        n => text += &format!("{n} things are broken\n"),
    }
    text
}

fn abi(libtorch: &Libtorch) -> &'static str {
    if libtorch.has_cxx11_abi { "C++11" } else { "before C++11" }
}

fn gpu(cuda: Cuda) -> String {
    match cuda {
        Cuda::Usable(1) => "1 that libtorch can use".to_owned(),
        Cuda::Usable(n) => format!("{n} that libtorch can use"),
        Cuda::NoDriver => "none: there is no NVIDIA driver (libcuda.so.1)".to_owned(),
        Cuda::NotBuilt => "none: this libtorch is without CUDA".to_owned(),
        Cuda::NoDevice => "none: libtorch finds none, though there is a driver".to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn cpu(cpu: Cpu) -> String {
    if !cpu.is_x86 {
        return std::env::consts::ARCH.to_owned();
    }
    let said =
        cpu.features().map(|(name, has)| format!("{name} {}", if has { "yes" } else { "no" }));
    said.join(", ")
}

fn disk(it: &FileSystem) -> String {
    let kind = it.kind.as_deref().unwrap_or("of unknown kind");
    let (free, total) = (bytes(it.free), bytes(it.total));
    format!("{free} free of {total}, {kind}: {}", durability(it.durability))
}

fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Durable => "saves are durable",
        Durability::Network => "saves are as durable as the server's",
        Durability::Layered => "saves are as durable as the layer below",
        Durability::Volatile => "in memory, gone with a restart",
        Durability::NotAtomic => "saves are not safe from a power loss",
        _ => "whether saves are durable is not known",
    }
}

fn to_json(machine: &Machine, faults: &[Fault]) -> Value {
    let libtorch = machine.libtorch.as_ref().ok().map(|it| {
        let devices = if let Cuda::Usable(n) = it.cuda { n } else { 0 };
        json!({
            "version": it.version,
            "built_for": it.built_for,
            "path": it.dir,
            "cxx11_abi": it.has_cxx11_abi,
            "cpu_capability": it.cpu_capability,
            "threads": it.threads,
            "cuda": {"devices": devices, "said": gpu(it.cuda)},
        })
    });
    let cache =
        |it: &Option<Cache>| it.as_ref().map(|it| json!({"path": it.path, "bytes": it.bytes}));
    let features = machine.cpu.features().map(|(name, has)| (name.to_owned(), has.into()));
    let places = machine.places.iter().map(|it| {
        let found = it.file_system.as_ref().ok();
        json!({
            "name": it.name,
            "path": it.path,
            "free": found.map(|it| it.free),
            "total": found.map(|it| it.total),
            "file_system": found.and_then(|it| it.kind.clone()),
            "durable": found.and_then(|it| match it.durability {
                Durability::Durable => Some(true),
                Durability::Volatile | Durability::NotAtomic => Some(false),
                _ => None,
            }),
            "writable": it.refusal.is_none(),
        })
    });
    let listed = |is_broken: bool| {
        let faults = faults.iter().filter(|it| it.is_broken == is_broken);
        faults.map(|it| json!({"problem": it.problem, "fix": it.fix})).collect::<Vec<Value>>()
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "well": listed(true).is_empty(),
        "libtorch": libtorch,
        "cores": machine.cores,
        "cpu": Value::Object(features.into_iter().collect()),
        "places": places.collect::<Vec<Value>>(),
        "tokenized_data": cache(&machine.data_cache),
        "downloaded_models": cache(&machine.model_cache),
        "faults": listed(true),
        "notes": listed(false),
    })
}

const REINSTALL: &str = "install libtorch again (`cargo xtask setup`) and build this command anew";

/// Less than a small model has.
const LEAST_FREE: u64 = 1_000_000_000;

#[cfg(test)]
mod tests;
