"""medai.analysis."""
