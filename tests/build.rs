//! Lets the tests find libtorch with no environment variable.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Set by the facade under the feature `torch`.
    if let Ok(lib) = std::env::var("DEP_PRETRAINED_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
