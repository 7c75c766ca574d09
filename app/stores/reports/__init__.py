"""Figures for people and monitoring systems, and answers that are cached."""
