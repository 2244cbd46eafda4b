"""medai.core."""
