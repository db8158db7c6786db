//! Lets binaries find libtorch where it was when they were built, with no environment variable.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Set by torch-sys; absent when type-checking without libtorch (feature `doc-only`).
    if let Ok(lib) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
        // Link arguments do not reach dependents. Theirs are made from this, by scripts like this.
        println!("cargo::metadata=libtorch_lib={lib}");
    }
}
