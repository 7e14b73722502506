"""The client for Python, and files of rows that are predicted chunk by chunk."""

from wsgi_service.client.api import Client
from wsgi_service.client.remote import RemoteError

__all__ = ["Client", "RemoteError"]
