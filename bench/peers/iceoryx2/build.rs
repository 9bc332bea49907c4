// Links the library that fills and sums frames for every language.

fn main() {
    let built = std::env::var("XMEM_FRAMES").expect("XMEM_FRAMES is the folder of libframes.so");
    println!("cargo:rerun-if-env-changed=XMEM_FRAMES");
    println!("cargo:rustc-link-search=native={built}");
    println!("cargo:rustc-link-lib=dylib=frames");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{built}");
}
