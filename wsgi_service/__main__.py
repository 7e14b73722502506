"""`python -m wsgi_service` is the same as the command `wsgi-service`."""

from wsgi_service.cli import main

if __name__ == "__main__":
    main()
