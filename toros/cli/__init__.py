"""The `toros` command: one file per subcommand group."""
