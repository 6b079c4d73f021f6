"""Hazards that vehicles warn each other of: heard, checked, bounded, stored."""
