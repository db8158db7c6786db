//! Lets the binary find libtorch where it was when it was built, with no environment variable.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Absent without the feature `torch`.
    if let Ok(lib) = std::env::var("DEP_PRETRAINED_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
