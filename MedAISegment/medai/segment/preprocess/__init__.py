"""medai.segment.preprocess."""
