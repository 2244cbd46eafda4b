"""DICOM images: find series, read their headers, place their slices, decode their pixels."""
