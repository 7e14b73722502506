"""Configuration of what stands around the server: services of the system, and servers in front of it."""
