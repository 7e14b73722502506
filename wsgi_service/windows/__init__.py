"""The server as a Windows service: `service.py` is what runs, `control.py` installs and controls it."""
