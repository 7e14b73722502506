"""Who may ask for what: hosts, tokens, sessions, and where a request comes from."""
