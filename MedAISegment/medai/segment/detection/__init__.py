"""Finding things and boxing them: detectors in three and two dimensions, their results, and how well they do."""
