"""medai.features."""
