"""The directory of a run: its config, checkpoints, log, warnings and page. Knows neither nets nor systems."""
