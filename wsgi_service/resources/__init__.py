"""The resources of the HTTP interface, one file for each kind."""
