"""Agreement of label maps: overlap, distances between surfaces, and their summary over many cases."""
