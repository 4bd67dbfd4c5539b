//! blockgate
fn main() {}
