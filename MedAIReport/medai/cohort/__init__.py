"""medai.cohort."""
