"""medai.segment.segmenters."""
