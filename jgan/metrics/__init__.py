"""Metrics: distances between images and scores of label maps. Arrays in, numbers out."""
