//! Start of the program; everything else is in the library.

fn main() -> std::process::ExitCode {
    tidegate::cli::main()
}
