"""What is seen of a server from outside: its log, its metrics, its traces, and what it predicted."""
