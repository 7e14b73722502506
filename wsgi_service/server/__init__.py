"""Waitress as this service needs it: connections, heads and bodies, and the loop that reads them."""
