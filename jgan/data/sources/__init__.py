"""Where examples come from: folders of files, prepared sets by name, and pictures drawn here."""
