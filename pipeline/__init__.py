"""respun: find the news articles that are the same story told again."""

__version__ = "0.1.0"
