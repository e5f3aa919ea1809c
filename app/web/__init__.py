"""The web application: server-rendered pages and their small API."""
