"""Bare Waitress that sends the body back: the floor under every answer that Waitress gives."""

import logging
import sys

from waitress import serve

logging.disable(logging.CRITICAL)


def app(environ, start_response):
    """The body."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


serve(app, host="127.0.0.1", port=int(sys.argv[1]), threads=16)
