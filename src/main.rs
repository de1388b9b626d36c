//! Nothing to start yet: the library comes first.

fn main() {}
