//! Builds the operators that tch lacks, and lets binaries find libtorch where it was when they were
//! built, with no environment variable.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/ops.cpp");
    // Set by torch-sys; absent when type-checking without libtorch (feature `doc-only`).
    let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") else { return };

    let include = Path::new(&lib).with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file("src/ops.cpp")
        .compile("pretrained_ops");

    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    // Link arguments do not reach dependents. Theirs are made from this, by scripts like this.
    println!("cargo::metadata=libtorch_lib={lib}");
}
