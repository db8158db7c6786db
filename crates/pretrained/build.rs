//! Lets binaries find libtorch where it was when they were built, with no environment variable.
//!
//! Link arguments reach the targets of one package only. A binary that depends on this crate takes
//! the directory from `DEP_PRETRAINED_LIBTORCH_LIB` in a build script like this one.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Absent without the feature `torch`.
    if let Ok(lib) = std::env::var("DEP_PRETRAINED_TORCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
        println!("cargo::metadata=libtorch_lib={lib}");
    }
}
