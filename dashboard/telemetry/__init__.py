"""Readings and their aggregates: which columns, which statement, in which format."""
