"""The commands of the command line. Each imports what is heavy when it runs, so that `--help` is quick."""
