"""Weights from elsewhere: their files are read without trust, and their names are mapped onto ours by strict tables."""
