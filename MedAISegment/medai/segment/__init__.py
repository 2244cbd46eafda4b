"""medai.segment."""
