"""The interface described: OpenAPI 3.1 made from the Map, the types and the docstrings."""
