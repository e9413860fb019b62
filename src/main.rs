fn main() -> std::process::ExitCode {
    cloud_sync::cli::main()
}
