"""medai.features.families."""
