"""Pages for people: made on the server, readable without JavaScript, with nothing from anywhere else."""
