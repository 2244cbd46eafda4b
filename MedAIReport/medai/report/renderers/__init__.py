"""medai.report.renderers."""
