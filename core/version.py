"""The one place that names our version; pyproject.toml reads it."""

VERSION = "0.1.0"
