"""Bodies and query strings become checked tables. One module for each way of writing rows."""
