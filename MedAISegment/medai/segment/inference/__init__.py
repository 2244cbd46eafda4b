"""Running a network over an image: into the model's grid, window by window, and back."""
