//! Lets the binary find libtorch where it was when it was built, with no environment variable.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let lib = std::env::var("DEP_PRETRAINED_TORCH_LIBTORCH_LIB").expect("from pretrained-torch");
    println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
}
