//! The whole loop on this machine, with nothing to set up:
//! `cargo run --example quickstart`.

mod steps;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    steps::run()
}
