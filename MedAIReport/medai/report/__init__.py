"""medai.report."""
