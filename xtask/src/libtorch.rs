//! Puts libtorch into the checkout: the version that `tch` is made for, the smallest build that serves the machine.
//!
//! It is the library inside PyTorch's Python wheel, installed into `.torch/venv`; `.torch/site` is a link to where
//! its packages are, so that `.cargo/config.toml` can name a path without Python's version in it.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::venv::Venv;
use crate::{pip, process, workspace};

/// The one place that says which libtorch, relative to the root.
pub(crate) const PINS: &str = "xtask/libtorch.txt";

/// `cargo xtask setup`.
pub(crate) fn run() -> Result<()> {
    let place = ensure()?;
    println!("libtorch {} is in {}", version()?, place.display());
    Ok(())
}

/// Installs libtorch if it isn't there. Its directory.
pub(crate) fn ensure() -> Result<PathBuf> {
    find_compiler()?;
    if let Some(own) = users_own() {
        check_users_own(&own)?;
        return Ok(own);
    }
    let venv = Venv::open()?;
    let pins = workspace::read(PINS)?;
    if !venv.has("libtorch", &pins) || !is_whole(&place()) {
        venv.install("libtorch", &pins, |python| install(python, &pins))?;
        link(&venv.site_packages()?)?;
        if !is_whole(&place()) {
            bail!(
                "{} is not whole after its installation; remove .torch and run this again",
                place().display()
            );
        }
    }
    Ok(place())
}

/// True if it can be linked against now, without installing anything.
pub(crate) fn is_there() -> bool {
    users_own().is_some() || is_whole(&place())
}

fn install(python: &Path, pins: &str) -> Result<()> {
    let pinned = workspace::root().join(PINS);
    let pinned = pinned.to_string_lossy();
    if has_nvidia_gpu() {
        eprintln!("an NVIDIA GPU is here: installing libtorch with CUDA (once; 2.6 GB)");
        return pip::install(python, ["-r", &pinned]);
    }
    let version = version_in(pins)?;
    let cpu_build = format!("torch=={version}+cpu");
    eprintln!("no NVIDIA GPU here: looking for the build without CUDA (200 MB)");
    let cpu_index =
        ["--no-deps", "--retries", "0", "--timeout", "10", "--index-url", CPU_INDEX, &cpu_build];
    if cfg!(target_os = "linux") && pip::try_install(python, cpu_index)? {
        return Ok(());
    }
    eprintln!("it cannot be had from here: installing the ordinary build (once; 550 MB)");
    pip::install(python, ["--no-deps", "-r", &pinned])
}

/// Points `.torch/site` at the packages.
fn link(site_packages: &Path) -> Result<()> {
    let site = workspace::torch_dir().join("site");
    match fs::symlink_metadata(&site) {
        Ok(found) if found.is_dir() => {
            fs::remove_dir_all(&site).with_context(|| format!("remove {}", site.display()))?
        }
        Ok(_) => fs::remove_file(&site).with_context(|| format!("remove {}", site.display()))?,
        Err(_) => {}
    }
    // Relative, so that the checkout can be moved.
    let target = site_packages.strip_prefix(workspace::torch_dir()).unwrap_or(site_packages);
    symlink(target, &site).with_context(|| format!("link {}", site.display()))
}

/// Where ours is; `.cargo/config.toml` says the same to the build.
fn place() -> PathBuf {
    workspace::torch_dir().join("site/torch")
}

/// Everything that linking and running needs is there. libtorch_cpu.so of the ordinary Linux build cannot be loaded
/// without two CUDA libraries, which it looks for beside itself.
fn is_whole(libtorch: &Path) -> bool {
    let suffix = if cfg!(target_os = "macos") { "dylib" } else { "so" };
    let library = |name: &str| libtorch.join("lib").join(format!("{name}.{suffix}")).is_file();
    let cuda = |name: &str| libtorch.join("../nvidia/cu13/lib").join(name).is_file();
    ["libc10", "libtorch_cpu", "libtorch"].into_iter().all(library)
        && libtorch.join("include/torch/csrc/api/include/torch/torch.h").is_file()
        && (!library("libtorch_cuda")
            || ["libcudart.so.13", "libcupti.so.13"].into_iter().all(cuda))
}

/// The user's LIBTORCH. (Cargo sets the variable for us to the place in `.cargo/config.toml`; that one is ours.)
fn users_own() -> Option<PathBuf> {
    let own = PathBuf::from(env::var_os("LIBTORCH")?);
    (!own.ends_with(".torch/site/torch")).then_some(own)
}

fn check_users_own(own: &Path) -> Result<()> {
    let version = version()?;
    if !own.join("lib").is_dir() {
        bail!(
            "LIBTORCH is {}, which has no lib directory; unset it and libtorch {version} is fetched",
            own.display()
        );
    }
    // The two forms libtorch comes in say their version in different files.
    let said = ["build-version", "version.py"]
        .iter()
        .find_map(|name| fs::read_to_string(own.join(name)).ok());
    match said {
        Some(said) if !said.contains(&version) => {
            bail!(
                "LIBTORCH is {}, which is not libtorch {version}; unset it and the right one is fetched",
                own.display()
            )
        }
        _ => Ok(()),
    }
}

fn version() -> Result<String> {
    version_in(&workspace::read(PINS)?)
}

fn version_in(pins: &str) -> Result<String> {
    let version = pins.lines().find_map(|line| line.strip_prefix("torch=="));
    Ok(version.with_context(|| format!("{PINS} has no line `torch==…`"))?.trim().to_owned())
}

fn has_nvidia_gpu() -> bool {
    let driver = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib/wsl/lib",
    ];
    Path::new("/dev/nvidia0").exists()
        || driver.iter().any(|dir| Path::new(dir).join("libcuda.so.1").exists())
}

/// Asked first, because the build would ask only after a long download.
fn find_compiler() -> Result<()> {
    let chosen = env::var("CXX").ok();
    let names: Vec<&str> =
        chosen.iter().map(String::as_str).chain(["c++", "g++", "clang++"]).collect();
    if names.iter().any(|name| Path::new(name).is_file() || process::find_program(name).is_some()) {
        return Ok(());
    }
    bail!(
        "no C++ compiler found (looked for {}); install one, e.g. `apt install g++`",
        names.join(", ")
    )
}

/// PyTorch's own index of builds without CUDA. Not every network reaches it.
const CPU_INDEX: &str = "https://download.pytorch.org/whl/cpu";
