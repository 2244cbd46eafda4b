"""medai.mrml."""
