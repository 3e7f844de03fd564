//! Links the program with nothing but itself. As link arguments of the binary alone: proc macros still need their libc.

fn main() {
    for arg in ["-nostartfiles", "-nostdlib", "-static", "-no-pie"] {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
}
