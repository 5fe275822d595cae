"""Other people's weights: their files read without trust, their names mapped onto ours by strict tables."""
