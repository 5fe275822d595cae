"""What the programs of `launch` do, one file for each by its name, and the parts that several of them share."""
